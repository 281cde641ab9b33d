"""A checkpoint follows the marks: it covers what is settled, and waits for nothing else."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dataart_mp.cli.input.row import Position
from dataart_mp.cli.ship.checkpointer import Checkpointer
from dataart_mp.stats import Outcome, Stats
from tests.support import wait_until

FILE = "/data/events.jsonl"


class Mark:
    """A mark that is settled when the test says so."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self.number = client.emitted

    def pending(self) -> int:
        raise AssertionError("it seals no frame, so that the last events would never settle")

    def wait(self, timeout: float | None = None) -> int:
        assert timeout == 0, "the thread waits for nothing"
        return max(0, self.number - self._client.settled)

    def outcome(self) -> Outcome:
        failed = sum(each <= self.number for each in self._client.failed)
        return Outcome(failed=failed, is_exact=self._client.is_exact)


class Client:
    """A client whose events settle when the test says so."""

    def __init__(self) -> None:
        self.emitted = self.settled = 0
        self.failed: list[int] = []
        self.is_exact = True
        self.marks: list[Mark] = []

    def mark(self) -> Mark:
        self.marks.append(Mark(self))
        return self.marks[-1]

    def stats(self) -> Stats:
        return Stats(failed=len(self.failed))


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint"


Make = Callable[..., Checkpointer]


@pytest.fixture
def checkpointer(client: Client, path: Path) -> Iterator[Make]:
    made = []

    def make(*, keeps_failed: bool = False) -> Checkpointer:
        checkpointer = Checkpointer(
            path,
            "http://a",
            client,
            lambda: {FILE: Position(client.emitted, 0)},
            keeps_failed=keeps_failed,
            interval=0.01,
        )
        checkpointer.start()
        made.append(checkpointer)
        return checkpointer

    yield make
    for each in made:
        each.finish(complete=False)


def lines(path: Path) -> int:
    return int(json.loads(path.read_bytes())["files"][FILE]["lines"])


def emit(client: Client, count: int) -> None:
    """Emit some events, and wait until a mark covers them."""
    marks = len(client.marks)
    client.emitted += count
    wait_until(lambda: len(client.marks) > marks)


def test_each_mark_advances_the_checkpoint_while_later_events_are_pending(
    client: Client, checkpointer: Make, path: Path
) -> None:
    checkpointer()
    for _ in range(3):
        emit(client, 10)
    assert lines(path) == 0

    marks = len(client.marks)
    time.sleep(0.05)
    assert len(client.marks) == marks, "without new events, no new marks"

    client.settled = 25

    wait_until(lambda: lines(path) == 20)
    client.settled = 30
    wait_until(lambda: lines(path) == 30)


def test_a_checkpoint_stays_before_a_failed_event_unless_a_spool_keeps_it(
    client: Client, checkpointer: Make, path: Path
) -> None:
    checkpointer()
    emit(client, 10)
    emit(client, 10)
    client.failed = [15]
    client.settled = 20
    wait_until(lambda: lines(path) == 10)
    emit(client, 10)
    client.settled = 30
    time.sleep(0.05)
    assert lines(path) == 10

    spooled = checkpointer(keeps_failed=True)
    emit(client, 10)
    client.settled = 40
    wait_until(lambda: lines(path) == 40)
    spooled.finish(complete=False)


def test_if_the_outcome_is_not_exact_the_failures_of_all_events_count(
    client: Client, checkpointer: Make, path: Path
) -> None:
    client.is_exact, client.failed = False, [1000]
    checkpointer()
    emit(client, 10)
    client.settled = 10
    time.sleep(0.05)
    assert lines(path) == 0
    client.failed = []
    wait_until(lambda: lines(path) == 10)


def test_the_last_checkpoint_covers_what_is_settled_though_the_rest_is_not(
    client: Client, checkpointer: Make, path: Path
) -> None:
    unfinished = checkpointer()
    emit(client, 10)
    emit(client, 10)
    unfinished.all_emitted()
    client.settled = 10
    assert not unfinished.finish(complete=True)
    assert lines(path) == 10
    assert json.loads(path.read_bytes())["complete"] is False


def test_the_last_checkpoint_covers_everything_when_all_is_settled(
    client: Client, checkpointer: Make, path: Path
) -> None:
    finished = checkpointer()
    client.emitted = client.settled = 7
    finished.all_emitted()
    assert finished.finish(complete=True)
    assert (lines(path), json.loads(path.read_bytes())["complete"]) == (7, True)


def test_without_a_last_mark_nothing_counts_as_covered(
    client: Client, checkpointer: Make, path: Path
) -> None:
    interrupted = checkpointer()
    client.emitted = client.settled = 7
    assert not interrupted.finish(complete=True)
    assert lines(path) in (0, 7)  # 7 if the thread was in time


def test_in_an_outage_the_number_of_marks_is_bounded_and_the_latest_positions_are_reached(
    client: Client, checkpointer: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataart_mp.cli.ship.checkpointer._MAX_MARKS", 3)
    outage = checkpointer()
    for _ in range(6):
        emit(client, 1)
    with outage._writing:  # the thread may be in the middle of replacing the last one
        assert len(outage._waypoints) == 3
    client.settled = 2
    wait_until(lambda: lines(path) == 2)
    client.settled = 6
    wait_until(lambda: lines(path) == 6)
