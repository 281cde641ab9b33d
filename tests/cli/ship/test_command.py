"""`dataart-mp ship`: delivery, bad rows, signals and exit codes."""

import gzip
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dataart_mp.devsink import SinkProcess
from tests.cli.terminal import FLIGHTS, SCRIPT, run, start
from tests.support import environment

ACTION = b'{"key":"play","user_key":"u","metadata":{"n":%d}}\n'
BAD = b'{"key":"play"}\n'


@pytest.fixture
def events(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        file = tmp_path / "events.jsonl"
        file.write_bytes(content)
        return file

    return write


def test_all_events_of_a_real_file_arrive(
    sink: SinkProcess, env: dict[str, str], tmp_path: Path
) -> None:
    # Beside the file there is a checkpoint, and the directory of the tests may be read-only.
    done = run("ship", shutil.copy(FLIGHTS, tmp_path), env=env)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Delivered 3,000 of 3,000 events in ")
    assert done.stderr == ""
    stats = sink.stats()
    assert stats["by_key"] == {"departure": 2927, "cancelled": 73}
    assert stats["distinct_actions"] == stats["actions"] == 3000


def test_files_and_standard_input_are_shipped_in_order(
    sink: SinkProcess, env: dict[str, str], events: Callable[[bytes], Path]
) -> None:
    identity = b'{"user_key":"u","metadata":{"plan":"free"}}\n'

    done = run("ship", events(ACTION % 1), "-", env=env, stdin=ACTION % 2 + identity)

    assert done.returncode == 0, done.stderr
    assert [event["metadata"]["n"] for event in sink.events()] == [1, 2]
    assert sink.identities() == [{"user_key": "u", "metadata": {"plan": "free"}}]


def test_the_result_can_be_one_json_object(env: dict[str, str]) -> None:
    done = run("ship", "--json", "-", env=env, stdin=ACTION % 1)

    result = json.loads(done.stdout)
    assert result["exit_code"] == done.returncode == 0
    assert result["accepted"] == result["delivered"] == result["lines"] == 1
    assert result["complete"] is True
    assert result["seconds"] > 0


def test_the_first_bad_line_ends_the_reading_and_the_lines_before_it_are_delivered(
    sink: SinkProcess, env: dict[str, str], events: Callable[[bytes], Path]
) -> None:
    file = events(ACTION % 1 + BAD + ACTION % 2)

    done = run("ship", "--json", file, env=env)

    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == f"{file}:2: user_key: is missing"
    assert json.loads(done.stdout)["complete"] is False
    assert [event["metadata"]["n"] for event in sink.events()] == [1]


def test_bad_lines_can_be_skipped_and_are_reported(sink: SinkProcess, env: dict[str, str]) -> None:
    done = run("ship", "--on-error", "skip", "-", env=env, stdin=BAD + ACTION % 1 + b"?\n")

    assert done.returncode == 3
    assert [line.partition(" ")[0] for line in done.stderr.splitlines()] == [
        "<stdin>:1:",
        "<stdin>:3:",
    ]
    assert "2 of 3 lines read were bad." in done.stdout
    assert sink.stats()["actions"] == 1


def test_rejected_events_are_reported_with_the_response(
    sink: SinkProcess, env: dict[str, str], tmp_path: Path
) -> None:
    sink.set_faults({"kind": "refuse", "match": {"metadata": {"n": 2}}, "status": 422})

    events = b"".join(ACTION % n for n in range(4))
    kept = tmp_path / "bad"
    done = run("ship", "--json", "--bad-rows", kept, "-", env=env, stdin=events + BAD)

    result = json.loads(done.stdout)
    assert result["exit_code"] == done.returncode == 1
    assert (result["delivered"], result["rejected"]) == (3, 1)
    assert [(cause["status"], cause["records"]) for cause in result["failures"]] == [(422, 1)]
    bad = {entry["line"]: entry for entry in map(json.loads, kept.read_text().splitlines())}
    assert bad[5]["reason"] == "user_key: is missing"
    assert bad[None]["reason"].startswith("rejected, status 422")
    assert bad[None]["row"]["metadata"] == {"n": 2}


def test_an_unreachable_platform_causes_neither_a_traceback_nor_a_hang(env: dict[str, str]) -> None:
    nowhere = {**env, "DATAART_BASE_URL": "http://127.0.0.1:9"}

    done = run("ship", "--retries", "1", "-", env=nowhere, stdin=ACTION % 1)

    assert done.returncode == 1
    assert "Delivered 0 of 1 events" in done.stdout
    assert "1 action (retries exhausted): no answer" in done.stdout
    assert "Traceback" not in done.stderr


def test_parquet_from_a_pipe_is_refused_at_once(
    sink: SinkProcess, env: dict[str, str], tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe.parquet"
    os.mkfifo(pipe)
    with subprocess.Popen(f"printf PAR1 > {pipe}", shell=True):
        done = run("ship", pipe, env=env)
    assert done.returncode == 3
    assert f"{pipe}: Parquet cannot be read from a pipe; name a regular file" in done.stderr


def test_a_closed_standard_input_is_reported_without_a_traceback(
    sink: SinkProcess, env: dict[str, str]
) -> None:
    done = subprocess.run(
        f"exec {SCRIPT} ship - <&-", shell=True, env=env, capture_output=True, check=False
    )
    assert done.returncode in (2, 3)
    assert b"<stdin>: is closed" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_worker_that_cannot_start_is_reported_without_a_traceback(env: dict[str, str]) -> None:
    broken = {**env, "DATAART_POOL_FACTORY": "no_such_module:make"}

    done = run("ship", "-", env=broken, stdin=ACTION % 1)

    assert done.returncode == 1
    assert "ModuleNotFoundError: No module named 'no_such_module'" in done.stderr
    assert "File " not in done.stderr
    assert "pending 1" in done.stdout


def test_the_wait_for_delivery_can_be_limited(sink: SinkProcess, env: dict[str, str]) -> None:
    sink.set_faults({"kind": "hang"})

    done = run("ship", "--json", "--timeout", "0.5", "-", env=env, stdin=ACTION % 1)

    assert done.returncode == 1
    assert json.loads(done.stdout)["pending"] == 1
    # The event is not lost: a worker process continues to send it.
    sink.clear_faults()
    sink.wait_for(lambda stats: stats["actions"] == 1)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)
def test_a_stop_signal_delivers_what_was_read_and_prints_the_result(
    sink: SinkProcess, env: dict[str, str], number: signal.Signals, code: int
) -> None:
    process = start("ship", "--json", "-", env=env)
    assert process.stdin is not None
    process.stdin.write(b"".join(ACTION % n for n in range(30)))
    process.stdin.flush()
    # The first request shows that input is read; the input stays open.
    # If the worker starts slowly, that request has all events.
    sink.wait_for(lambda stats: stats["actions"] >= 20)
    process.send_signal(number)
    output, errors = process.communicate(timeout=30)

    assert process.returncode == code
    result = json.loads(output)
    assert result["exit_code"] == code
    assert result["delivered"] == result["accepted"] == sink.stats()["actions"] == 30
    assert b"Traceback" not in errors


def test_events_of_a_slow_input_are_sent_without_waiting_for_more(
    sink: SinkProcess, env: dict[str, str]
) -> None:
    process = start("ship", "-", env={**env, "DATAART_FLUSH_INTERVAL": "0.1"})
    assert process.stdin is not None
    process.stdin.write(ACTION % 1)
    process.stdin.flush()

    sink.wait_for(lambda stats: stats["actions"] == 1)

    process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_closed_output_pipe_ends_the_command_silently(env: dict[str, str]) -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [SCRIPT, "ship", "--json", "-"],
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=subprocess.PIPE,
        env=env,
    )
    os.close(writer)
    os.close(reader)
    _, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (141, b"")


def test_decompressed_input_can_come_through_a_pipe(
    sink: SinkProcess, env: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl.gz"
    file.write_bytes(gzip.compress(ACTION % 1))

    with subprocess.Popen(["gzip", "-dc", file], stdout=subprocess.PIPE) as source:
        assert source.stdout is not None
        process = start("ship", "-", env=env, stdin=source.stdout.fileno())
        process.communicate(timeout=30)

    assert process.returncode == 0
    assert sink.stats()["actions"] == 1


def test_the_api_key_can_come_from_a_file_but_not_from_an_argument(
    env: dict[str, str], tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text("file-key\n")
    with SinkProcess(api_key="file-key") as strict:
        done = run(
            *("ship", "--api-key-file", key, "--base-url", strict.url, "-"),
            env=environment(),
            stdin=ACTION % 1,
        )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "--api-key " not in run("ship", "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        ([], {}, "Missing argument"),
        (["no-such-file"], {}, "File 'no-such-file' does not exist"),
        (["--api-key", "x", "-"], {}, "No such option"),
        (["--workers", "0", "-"], {}, "--workers: flush_num_workers=0: must be 1 or more"),
        (["-"], {"DATAART_FLUSH_NUM_WORKERS": "x"}, "DATAART_FLUSH_NUM_WORKERS='x': must be a"),
        (["-"], {"DATAART_API_KEY": ""}, "set DATAART_API_KEY, or give --api-key-file FILE"),
        (["--api-key-file", os.devnull, "-"], {}, "api_key"),
        (["--timeout", "-1", "-"], {}, "--timeout"),
    ],
)
def test_a_usage_error_is_reported_without_a_traceback(
    env: dict[str, str], arguments: list[str], variables: dict[str, str], message: str
) -> None:
    done = run("ship", *arguments, env={**env, **variables}, stdin=ACTION % 1)

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_unknown_variable_is_reported(env: dict[str, str]) -> None:
    done = run("ship", "-", env={**env, "DATAART_FLUSH_NUM_WORKER": "3"}, stdin=ACTION % 1)

    assert done.returncode == 0
    assert done.stderr.startswith("dataart-mp: DATAART_FLUSH_NUM_WORKER ")
    assert "did you mean" in done.stderr


def test_ship_waits_for_a_full_buffer_whatever_the_overflow_setting(
    sink: SinkProcess, env: dict[str, str]
) -> None:
    sink.set_faults({"kind": "latency", "seconds": 0.01})
    dropping = {**env, "DATAART_OVERFLOW": "drop", "DATAART_FLUSH_BUFFER_SIZE": "2"}

    done = run("ship", "--json", FLIGHTS, env=dropping)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["delivered"] == 3000


def test_a_directory_is_refused(env: dict[str, str], tmp_path: Path) -> None:
    done = run("ship", tmp_path, env=env)

    assert done.returncode == 2
    assert "is a directory" in done.stderr
