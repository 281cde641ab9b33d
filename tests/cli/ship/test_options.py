"""Options of `ship` that say how fast, how quietly and in which requests it ships."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from dataart_mp.cli.ship.pace import Pace
from dataart_mp.devsink import SinkProcess
from tests.cli.terminal import FLIGHTS, SCRIPT, run
from tests.support import wait_until

ACTION = b'{"key":"play","user_key":"u","metadata":{"n":%d}}\n'
EVENT = ACTION.replace(b'"metadata"', b'"timestamp":"2021-05-04T10:11:12Z","metadata"')
SHOP = "user_key,key,price,code,note\nann,bought,2.50,007,\nbob,bought,3,012,x\n"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    file = tmp_path / "shop.csv"
    file.write_text(SHOP)
    return file


def metadata(sink: SinkProcess) -> list[Any]:
    return [event["metadata"] for event in sink.events()]


def test_numbers_in_csv_are_text_and_ship_warns_once(
    shop: Path, sink: SinkProcess, env: dict[str, str], tmp_path: Path
) -> None:
    other = tmp_path / "other.csv"
    other.write_text(SHOP)
    done = run("ship", shop, other, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stderr == (
        f"dataart-mp: {shop}: numbers are sent as text in the columns price; "
        "use --infer-types, or name the types: --metadata price:float,…\n"
    )
    assert metadata(sink)[:2] == [
        {"price": "2.50", "code": "007", "note": None},
        {"price": "3", "code": "012", "note": "x"},
    ]


def test_numbers_in_csv_are_numbers_if_the_types_are_inferred(
    shop: Path, sink: SinkProcess, env: dict[str, str]
) -> None:
    """A leading zero makes a number a code."""
    done = run("ship", "--infer-types", shop, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert metadata(sink) == [
        {"price": 2.5, "code": "007", "note": None},
        {"price": 3, "code": "012", "note": "x"},
    ]


def test_a_late_cell_that_is_not_a_number_is_sent_as_text_and_named_once_with_the_fix(
    sink: SinkProcess, env: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "late.csv"
    rows = ["u,k,1,2"] * 1000 + ["u,k,n/a,3", "u,k,,4", "u,k,2,", "u,k,n/a,007"]
    file.write_text("\n".join(["user_key,key,price,size", *rows, ""]))

    warnings = [
        f"dataart-mp: {file}:1002: price: 'n/a' is sent as text, and the numbers of this column as "
        "numbers; for one type, use --metadata price:text,… or price:float,…\n",
        f"dataart-mp: {file}:1005: size: '007' is sent as text, and the numbers of this column as "
        "numbers; for one type, use --metadata size:text,… or size:float,…\n",
    ]
    for options in (["--dry-run"], []):
        done = run("ship", "--infer-types", *options, file, env=env)
        assert (done.returncode, done.stderr) == (0, "".join(warnings))
    late = [each for each in metadata(sink) if each != {"price": 1, "size": 2}]
    assert sorted(late, key=str) == [
        {"price": "n/a", "size": "007"},
        {"price": "n/a", "size": 3},
        {"price": 2, "size": None},
        {"price": None, "size": 4},
    ]


def test_a_typed_column_is_neither_inferred_nor_warned_of(
    shop: Path, sink: SinkProcess, env: dict[str, str]
) -> None:
    done = run("ship", "--metadata", "price:text", "--infer-types", shop, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert metadata(sink) == [{"price": "2.50"}, {"price": "3"}]


def test_inferred_types_stay_the_same_in_a_run_that_continues(
    sink: SinkProcess, env: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("user_key,key,n\n" + "u,k,1\n" * 5 + "u,,2\n")
    stopped = run("ship", "--infer-types", file, env=env)
    assert stopped.returncode == 3
    file.write_text("user_key,key,n\n" + "u,k,1\n" * 5 + "u,k,2\n" * 3000 + "u,k,3\n")
    done = run("ship", "--infer-types", "--resume", file, env=env)
    assert done.returncode == 0, done.stderr
    numbers = [values["n"] for values in metadata(sink)]
    assert numbers.count(1) == 5
    assert numbers.count(2) + numbers.count(3) == len(numbers) - 5
    assert sink.stats()["actions"] == 3006


def test_settings_of_events_apply_to_a_dry_run_as_to_a_shipment(
    sink: SinkProcess, env: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    event = '{"key":"play","user_key":"u%d","timestamp":"2021-05-04T10:11:12Z"}\n'
    file.write_text("".join(event % number for number in range(200)))
    env |= {"DATAART_SAMPLE_RATE": "0.5", "DATAART_DEFAULT_METADATA": '{"from":"import"}'}

    dry = run("ship", "--dry-run", "--json", file, env=env)
    shown = run("ship", "--dry-run", file, env=env)
    shipped = run("ship", file, env=env)

    result = json.loads(dry.stdout)
    assert (dry.returncode, shipped.returncode) == (0, 0), (
        "leaving out events does not count as a failure"
    )
    assert (result["actions"], result["sampled"]) == (len(sink.events()), 200 - len(sink.events()))
    assert 50 < result["actions"] < 150
    assert result["first_event"]["metadata"] == {"from": "import"}
    assert result["first_event"]["user_key"] == min(
        (event["user_key"] for event in sink.events()), key=lambda name: int(name[1:])
    )
    assert f"sample_rate leaves out {result['sampled']}; 0 of 200 lines are bad" in shown.stdout
    assert f"Delivered {result['actions']} of {result['actions']} events" in shipped.stdout
    assert f"sample_rate has left out {result['sampled']} of 200 events." in shipped.stdout
    assert not file.with_name("events.jsonl.checkpoint").exists(), "nothing is left to ship"


def test_a_dry_run_shows_the_first_event_as_it_would_be_sent(
    shop: Path, sink: SinkProcess, env: dict[str, str]
) -> None:
    options = ("--dry-run", "--infer-types", "--set", "timestamp=2021-05-04T10:11:12Z")
    event = {
        "key": "bought",
        "user_key": "ann",
        "is_anonymous_user": False,
        "timestamp": "2021-05-04T10:11:12Z",
        "metadata": {"price": 2.5, "code": "007", "note": None},
    }
    done = run("ship", *options, shop, env=env)
    first, last = done.stdout.splitlines()
    assert json.loads(first.removeprefix("First event: ")) == event
    assert last.startswith("2 actions and 0 identities would be shipped")
    assert json.loads(run("ship", *options, "--json", shop, env=env).stdout)["first_event"] == event
    assert sink.stats()["requests"] == 0


def test_the_size_of_requests_under_backlog_can_be_set(
    sink: SinkProcess, env: dict[str, str]
) -> None:
    sink.set_faults({"kind": "latency", "seconds": 0.05})
    options = ("--batch-size", "10", "--max-batch-size", "30", "--workers", "1")
    assert run("ship", *options, FLIGHTS, env=env).returncode == 0
    assert max(request["count"] for request in sink.requests()) == 30


def test_events_get_ids_that_are_the_same_when_they_are_shipped_again(
    sink: SinkProcess, env: dict[str, str]
) -> None:
    counted = [event["metadata"]["_id"] for event in _shipped_with_ids(sink, env)]
    again = [event["metadata"]["_id"] for event in _shipped_with_ids(sink, env)]
    assert len(set(counted)) == 20
    assert sorted(again) == sorted(counted * 2)


def _shipped_with_ids(sink: SinkProcess, env: dict[str, str]) -> list[dict[str, Any]]:
    events = b"".join(EVENT % number for number in range(20))
    assert run("ship", "--event-id", "_id", "-", env=env, stdin=events).returncode == 0
    return sink.events()


def test_the_spool_can_be_named(sink: SinkProcess, env: dict[str, str], tmp_path: Path) -> None:
    sink.set_faults({"kind": "status", "status": 503})
    spool = tmp_path / "spool"
    done = run("ship", "--spool-dir", spool, "--retries", "0", "-", env=env, stdin=ACTION % 1)
    assert done.returncode == 1
    assert "The next client that uses the spool sends parked events." in done.stdout
    assert (spool / "parked.db").exists()


def test_events_are_sent_at_a_limited_rate(sink: SinkProcess, env: dict[str, str]) -> None:
    start = time.monotonic()
    events = b"".join(ACTION % number for number in range(300))
    assert run("ship", "--rate-limit", "200", "-", env=env, stdin=events).returncode == 0
    assert time.monotonic() - start > 1.3
    assert sink.stats()["actions"] == 300


@pytest.mark.parametrize("count", [1, 10])
def test_a_pace_lets_so_many_events_pass_in_a_second(count: int) -> None:
    pace, start = Pace(1000), time.monotonic()
    assert pace.burst == 100
    for _ in range(300 // count):
        pace.wait(count)
    assert 0.15 < time.monotonic() - start < 2


def test_a_quiet_run_shows_only_what_is_wrong(env: dict[str, str], tmp_path: Path) -> None:
    # Beside the file there is a checkpoint, and the directory of the tests may be read-only.
    done = run("ship", "--quiet", shutil.copy(FLIGHTS, tmp_path), env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    bad = run("ship", "--quiet", "-", env=env, stdin=b"?\n")
    assert bad.returncode == 3
    assert bad.stderr.startswith("<stdin>:1: not JSON")
    assert "1 of 1 lines read were bad" in bad.stdout


def test_a_line_every_two_seconds_shows_the_progress_without_a_terminal(
    env: dict[str, str], sink: SinkProcess
) -> None:
    with subprocess.Popen(
        [SCRIPT, "ship", "-"], env=env, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(ACTION % 1)
        process.stdin.flush()
        wait_until(lambda: sink.stats()["actions"] == 1)
        line = process.stderr.readline().decode()
        process.stdin.close()
        assert process.wait(30) == 0
    assert re.fullmatch(r"Shipping +2\.\d s  [01] delivered, [01]/s, 0 retries\n", line)


# Parquet


def test_rows_of_parquet_are_shipped_as_emit_action_would_send_them(
    sink: SinkProcess, env: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "rows.parquet"
    users = [None if number in {3, 9000} else f"u{number}" for number in range(10_000)]
    table = pyarrow.table({"key": ["k"] * 10_000, "user_key": users, "_id": range(10_000)})
    parquet.write_table(table, file)
    done = run("ship", "--on-error", "skip", "--rate-limit", "50000", file, env=env)
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        f"{file}:{line}: user_key: is missing: column 'user_key' is empty" for line in (4, 9001)
    ]
    assert "Delivered 9,998 of 9,998 events" in done.stdout
    assert "2 of 10,000 lines read were bad." in done.stdout
    assert sorted(sink.ids()) == [n for n in range(10_000) if n not in {3, 9000}]


def test_a_parquet_file_continues_at_the_row_that_stopped_it(
    sink: SinkProcess, env: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "rows.parquet"
    texts = ["y" * 200_000 if number == 5000 else "x" for number in range(6000)]
    table = pyarrow.table(
        {"key": ["k"] * 6000, "user_key": ["u"] * 6000, "_id": range(6000), "text": texts}
    )
    parquet.write_table(table, file)
    stopped = run("ship", file, env=env)
    assert stopped.returncode == 3
    assert f"{file}:5001: the event takes 200," in stopped.stderr
    assert sorted(sink.ids()) == [*range(5000)]
    done = run("ship", "--resume", "--on-error", "skip", file, env=env)
    assert done.returncode == 3
    assert sink.ids() == {number: 1 for number in range(6000) if number != 5000}
