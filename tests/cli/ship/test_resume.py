"""`dataart-mp ship --resume`: checkpoints of interrupted runs, and where the next run starts."""

import contextlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from dataart_mp.cli.input.row import Position
from dataart_mp.cli.ship.checkpoint import Checkpoint, CheckpointError
from dataart_mp.cli.ship.resumption import Resumption
from dataart_mp.devsink import SinkProcess
from tests.cli.terminal import run, start
from tests.support import wait_until

EVENTS = 3000


@pytest.fixture(scope="module")
def running_sink() -> Iterator[SinkProcess]:
    with SinkProcess() as process:
        yield process


@pytest.fixture
def sink(running_sink: SinkProcess) -> SinkProcess:
    """The one sink of all these tests, emptied; each test waits until its requests have ended."""
    running_sink.reset()
    return running_sink


@pytest.fixture
def slow(sink: SinkProcess, env: dict[str, str]) -> dict[str, str]:
    """An environment with a small buffer and a slow platform: `ship` is never far ahead of it."""
    sink.set_faults({"kind": "latency", "seconds": 0.06})
    return env | {"DATAART_FLUSH_BUFFER_SIZE": "4"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(map(line, range(EVENTS))))
    return path


def line(number: int) -> bytes:
    event = {
        "key": "play",
        "user_key": "ann",
        "timestamp": "2021-05-04T10:11:12Z",
        "metadata": {"_id": number},
    }
    return json.dumps(event).encode() + b"\n"


def checkpoint_of(file: Path) -> Path:
    return file.with_name(file.name + ".checkpoint")


def lines_in(checkpoint: Path) -> int:
    """Return the number of settled lines of the only file."""
    files = json.loads(checkpoint.read_bytes())["files"]
    return sum(entry["lines"] for entry in files.values())


def kill_with_workers(pid: int) -> None:
    """Kill the command and its worker processes with SIGKILL, as the end of a container does."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes[1:], timeout=10)


def test_after_ctrl_c_each_event_arrives_once(
    sink: SinkProcess, slow: dict[str, str], file: Path
) -> None:
    process = start("ship", file, env=slow)
    sink.wait_for(lambda stats: stats["actions"] >= 500)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 130
    assert f"to continue: dataart-mp ship --resume {file}" in errors.decode()
    arrived = len(sink.ids())
    assert 500 <= arrived < EVENTS
    assert lines_in(checkpoint_of(file)) == arrived
    sink.clear_faults()

    done = run("ship", "--json", "--resume", file, env=slow)

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["lines_before"], result["lines"]) == (arrived, EVENTS - arrived)
    assert sink.ids() == dict.fromkeys(range(EVENTS), 1)


def test_after_kill_9_of_all_processes_nothing_is_skipped_and_little_is_sent_twice(
    sink: SinkProcess, slow: dict[str, str], file: Path
) -> None:
    process = start("ship", file, env=slow)
    checkpoint = checkpoint_of(file)
    wait_until(lambda: checkpoint.exists() and lines_in(checkpoint) > 0)
    kill_with_workers(process.pid)
    process.communicate(timeout=30)
    settled = lines_in(checkpoint)
    assert 0 < settled < EVENTS
    assert set(range(settled)) <= sink.ids().keys()
    sink.clear_faults()

    done = run("ship", "--resume", file, env=slow)

    assert done.returncode == 0, done.stderr
    counts = sink.ids()
    assert counts.keys() == set(range(EVENTS))
    duplicates = {number for number, count in counts.items() if count > 1}
    assert all(number >= settled for number in duplicates if isinstance(number, int))


def test_a_concurrent_run_is_refused_and_the_first_one_continues(
    sink: SinkProcess, slow: dict[str, str], file: Path
) -> None:
    process = start("ship", "--resume", file, env=slow)
    sink.wait_for(lambda stats: stats["actions"] >= 100)
    second = run("ship", "--resume", file, env=slow)
    assert (second.returncode, second.stdout) == (2, "")
    assert f"{file}.checkpoint: another run is using it" in second.stderr
    sink.clear_faults()
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert sink.ids() == dict.fromkeys(range(EVENTS), 1)
    assert sorted(file.parent.iterdir()) == [file, checkpoint_of(file)], "no lock is left behind"


def test_the_lock_of_a_killed_run_does_not_block_the_next(
    sink: SinkProcess, slow: dict[str, str], file: Path
) -> None:
    process = start("ship", "--resume", file, env=slow)
    sink.wait_for(lambda stats: stats["actions"] >= 100)
    kill_with_workers(process.pid)
    process.communicate(timeout=30)
    sink.clear_faults()
    done = run("ship", "--resume", file, env=slow)
    assert done.returncode == 0, done.stderr
    assert sorted(file.parent.iterdir()) == [file, checkpoint_of(file)]


def test_a_checkpoint_stays_before_a_bad_row_when_parked_events_are_accepted_too(
    sink: SinkProcess, env: dict[str, str], file: Path, tmp_path: Path
) -> None:
    env = env | {"DATAART_SPOOL_DIR": str(tmp_path / "spool")}
    sink.set_faults({"kind": "status", "status": 503})
    earlier = tmp_path / "earlier.jsonl"
    earlier.write_bytes(b"".join(map(line, range(EVENTS, EVENTS + 40))))
    assert run("ship", "--retries", 1, earlier, env=env).returncode == 1
    # The first event arrives last, so that the parked ones are delivered before the end.
    sink.set_faults({"kind": "latency", "seconds": 3.0, "match": {"metadata": {"_id": 0}}})
    with file.open("ab") as stream:
        stream.write(b"not an event\n" + line(EVENTS + 100))

    done = run("ship", "--json", "--resume", file, env=env)

    assert done.returncode in (1, 3), "all are settled, or some of the parked events are not"
    assert json.loads(done.stdout)["accepted"] > EVENTS, "the parked events are counted, too"
    assert lines_in(checkpoint_of(file)) <= EVENTS


def test_a_file_whose_last_line_had_no_end_may_grow(
    sink: SinkProcess, env: dict[str, str], file: Path
) -> None:
    file.write_bytes(line(0) + line(1).rstrip())
    assert run("ship", "--resume", file, env=env).returncode == 0
    with file.open("ab") as stream:
        stream.write(b"\n" + line(2))
    done = run("ship", "--resume", file, env=env)
    assert done.returncode == 0, done.stderr
    assert sink.ids() == {0: 1, 1: 1, 2: 1}


def test_a_file_that_one_run_omits_is_not_sent_again_by_the_next(
    sink: SinkProcess, env: dict[str, str], tmp_path: Path
) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    first.write_bytes(line(0))
    second.write_bytes(line(1))
    for files in ((first, second), (second,), (first, second)):
        done = run("ship", "--resume", "--checkpoint", tmp_path / "at", *files, env=env)
        assert done.returncode == 0, done.stderr
    assert sink.ids() == {0: 1, 1: 1}


@pytest.mark.parametrize("option", ["--bad-rows", "--checkpoint"])
def test_an_input_file_is_not_overwritten(
    sink: SinkProcess, env: dict[str, str], file: Path, option: str
) -> None:
    before = file.read_bytes()
    done = run("ship", option, file.parent / "." / file.name, file, env=env)
    assert done.returncode == 2
    assert f"{option}: {file} is also an input file; name another file" in done.stderr
    assert file.read_bytes() == before
    assert not sink.ids()


def test_with_a_spool_no_event_of_a_killed_pipe_is_lost(
    sink: SinkProcess, slow: dict[str, str], file: Path, tmp_path: Path
) -> None:
    """Standard input cannot be read again, but accepted events are in the spool."""
    spooled = slow | {
        "DATAART_SPOOL_DIR": str(tmp_path / "spool"),
        "DATAART_FLUSH_MAX_BATCH_SIZE": "20",
    }
    checkpoint = tmp_path / "checkpoint"
    process = start("ship", "--checkpoint", checkpoint, "-", env=spooled)
    assert process.stdin is not None
    process.stdin.write(b"".join(map(line, range(500))))
    process.stdin.flush()
    wait_until(lambda: checkpoint.exists() and lines_in(checkpoint) == 500)
    sink.set_faults({"kind": "hang"})
    before = sink.stats()["requests"]
    process.stdin.write(b"".join(map(line, range(500, 540))))
    process.stdin.flush()
    sink.wait_for(lambda stats: stats["requests"] >= before + 2)
    kill_with_workers(process.pid)
    process.communicate(timeout=30)
    sink.clear_faults()

    rest = b"".join(map(line, range(540, 600)))
    done = run("ship", "-", env=spooled, stdin=rest)

    assert done.returncode == 0, done.stderr
    sink.wait_for(lambda _: len(sink.ids()) == 600)
    assert sink.ids() == dict.fromkeys(range(600), 1)


def test_in_an_outage_ship_stops_and_the_next_run_sends_the_rest(
    sink: SinkProcess, env: dict[str, str], file: Path
) -> None:
    env |= {"DATAART_FLUSH_BUFFER_SIZE": "4"}
    sink.set_faults({"kind": "status", "status": 503})

    done = run("ship", "--json", "--retries", "0", file, env=env)

    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert result["complete"] is False
    assert result["delivered"] == 0
    assert result["lines"] < EVENTS
    assert "stopped: the platform does not accept the events" in done.stderr
    sink.clear_faults()

    assert run("ship", "--resume", file, env=env).returncode == 0
    assert sink.ids() == dict.fromkeys(range(EVENTS), 1)


def test_ship_resumes_when_a_bad_line_is_fixed_and_when_the_file_has_grown(
    sink: SinkProcess, env: dict[str, str], file: Path
) -> None:
    file.write_bytes(line(0) + b"?\n" + line(2))
    assert run("ship", file, env=env).returncode == 3
    assert lines_in(checkpoint_of(file)) == 1
    file.write_bytes(line(0) + line(1) + line(2))

    fixed = run("ship", "--resume", file, env=env)
    with file.open("ab") as stream:
        stream.write(line(3))
    grown = run("ship", "--resume", file, env=env)

    assert fixed.returncode == grown.returncode == 0, fixed.stderr + grown.stderr
    assert fixed.stdout.startswith("Resumed after 1 lines.\nDelivered 2 of 2 events")
    assert grown.stdout.startswith("Resumed after 3 lines.\nDelivered 1 of 1 events")
    assert sink.ids() == dict.fromkeys(range(4), 1)


def test_a_checkpoint_is_neither_ignored_silently_nor_used_for_another_platform(
    file: Path,
) -> None:
    def plan(base_url: str = "http://a", *, resume: bool = False, restart: bool = False) -> Any:
        return Resumption.plan(
            [str(file)], base_url, checkpoint=None, resume=resume, restart=restart
        )

    reached = {str(file): Position(7, 1)}
    path = checkpoint_of(file)
    Checkpoint("http://a", reached).write(path)

    with pytest.raises(
        CheckpointError, match="continue with --resume, or start over with --restart"
    ):
        plan()
    with pytest.raises(CheckpointError, match="shipped to http://a, not to http://b"):
        plan("http://b", resume=True)
    assert plan(resume=True) == Resumption(path=path, start=reached, stays=True)
    assert plan(restart=True) == Resumption(path=path, start={}, stays=False)
    Checkpoint("http://a", reached, complete=True).write(path)
    assert plan().start == {}
    assert plan(resume=True).start == reached


@pytest.mark.parametrize(
    "content", ["", "{}", '{"version": 1, "files": []}', "\0", '{"version": 2}']
)
def test_a_file_that_is_not_a_checkpoint_is_reported(tmp_path: Path, content: str) -> None:
    file = tmp_path / "checkpoint"
    file.write_text(content)

    with pytest.raises(CheckpointError, match=r"remove it to ship from the start|upgrade"):
        Checkpoint.read(file)


def test_pipes_need_an_explicit_checkpoint(tmp_path: Path) -> None:
    options: Any = {"checkpoint": None, "resume": False, "restart": False}

    assert Resumption.plan(["-"], "http://a", **options).path is None
    with pytest.raises(CheckpointError, match="set one with --checkpoint FILE"):
        Resumption.plan(["-"], "http://a", **{**options, "resume": True})


def test_positions_belong_to_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "checkpoint"
    options: Any = {"checkpoint": checkpoint, "resume": True, "restart": False}
    files = [str(tmp_path / name) for name in ("a", "b")]
    first = Resumption.plan(files, "http://a", **options)
    reached = {files[0]: Position(7, 1), files[1]: Position(3, 2)}
    Checkpoint("http://a", first.by_path(reached)).write(checkpoint)
    monkeypatch.chdir(tmp_path)

    assert Resumption.plan(["b", "c"], "http://a", **options).start == {"b": Position(3, 2)}
