"""Reports reach the application complete or not at all, and never hold up a worker."""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dataart_mp import Failure
from dataart_mp.producer.encoder import encode_action, encode_identity
from dataart_mp.producer.report_reader import ReportReader
from dataart_mp.queue.arena import Arena
from dataart_mp.queue.locks import REPORTER
from dataart_mp.supervision.wiring import Wiring
from dataart_mp.transport.response import Response
from dataart_mp.worker import reporter as report_module
from dataart_mp.worker.batch import Batch
from dataart_mp.worker.reporter import Reporter
from tests.support import wait_until

OnFailure = Callable[[Failure], object]


@pytest.fixture
def arena() -> Iterator[Arena]:
    made = Arena.create(1, 1000)
    yield made
    made.close()


@pytest.fixture
def wiring() -> Iterator[Wiring]:
    laid = Wiring.lay()
    yield laid
    laid.cut()


@pytest.fixture
def reporter(arena: Arena, wiring: Wiring) -> Reporter:
    return Reporter(arena, wiring.report, with_records=True)


@pytest.fixture
def listen(wiring: Wiring) -> Iterator[Callable[[OnFailure | None], ReportReader]]:
    listeners: list[ReportReader] = []

    def start(on_failure: OnFailure | None) -> ReportReader:
        listeners.append(ReportReader(wiring.report_end, on_failure))
        return listeners[-1]

    yield start
    for listener in listeners:
        assert listener._thread.has_ended.is_set() or listener.stop(10)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    with caplog.at_level(logging.INFO, "dataart_mp"):
        yield lambda: [record.getMessage() for record in caplog.records]


def actions(*keys: str) -> Batch:
    content = b"".join(encode_action(key, "ann", False, None, {"ü": "\n\0"}) for key in keys)
    return Batch("key-1", False, 0, content)


def give_up(reporter: Reporter, *keys: str, reason: str = "rejected") -> None:
    reporter.gave_up(reason, actions(*keys), Response(400, "bad\nkey ü"), 2)


# Contents


def test_a_failure_arrives_with_its_records_decoded(reporter: Reporter, listen: Any) -> None:
    failures: list[Failure] = []
    listen(failures.append)
    give_up(reporter, "one", "two")
    wait_until(lambda: failures)
    (failure,) = failures
    assert (failure.reason, failure.kind, failure.status) == ("rejected", "action", 400)
    assert (failure.answer, failure.attempts) == ("bad\nkey ü", 2)
    assert [record["key"] for record in failure.records] == ["one", "two"]
    assert failure.records[0]["metadata"] == {"ü": "\n\0"}


def test_a_failed_identity_arrives_as_one(reporter: Reporter, listen: Any) -> None:
    failures: list[Failure] = []
    listen(failures.append)
    batch = Batch("key-1", True, 0, encode_identity("ann", {"plan": "free"}))
    reporter.gave_up("retries exhausted", batch, Response(None, "refused"), 4)
    wait_until(lambda: failures)
    assert failures[0].kind == "identity"
    assert failures[0].records == ({"user_key": "ann", "metadata": {"plan": "free"}},)
    assert failures[0].status is None


def test_records_are_not_reported_without_a_callback(arena: Arena, wiring: Wiring) -> None:
    """They may be personal data, and large."""
    give_up(Reporter(arena, wiring.report, with_records=False), "secret")
    text = os.read(wiring.report_end, 65536)
    assert b"secret" not in text
    assert json.loads(text)["count"] == 1


def test_failures_are_logged_with_or_without_a_callback(
    reporter: Reporter, listen: Any, log: Callable[[], list[str]]
) -> None:
    listen(None)
    give_up(reporter, "one", "two")
    wait_until(log)
    assert log()[0].startswith("2 records not delivered: rejected, status 400, 'bad")


def test_the_log_is_throttled_and_counts_every_record(
    reporter: Reporter, listen: Any, log: Callable[[], list[str]]
) -> None:
    listener = listen(None)
    for _ in range(500):
        give_up(reporter, "one")
    assert listener.stop(10)
    counts = [int(line.split()[0]) for line in log()]
    assert len(counts) <= 3
    assert sum(counts) == 500


def test_an_outage_and_a_crash_are_logged(
    reporter: Reporter, listen: Any, log: Callable[[], list[str]]
) -> None:
    listen(None)
    reporter.retrying(Response(503, "down"), 5.0)
    reporter.retrying(Response(503, "down"), 10.0)
    reporter.crashed("Traceback: oh dear")
    wait_until(lambda: len(log()) == 2)
    assert log() == [
        "delivery fails (status 503, 'down'); trying again in 5.0 s",
        "a worker crashed: Traceback: oh dear",
    ]


def test_an_error_in_on_failure_does_not_affect_later_reports(
    reporter: Reporter, listen: Any, log: Callable[[], list[str]]
) -> None:
    seen: list[str] = []

    def on_failure(failure: Failure) -> None:
        seen.append(failure.records[0]["key"])
        raise ValueError(f"no place for {seen[-1]}")

    listen(on_failure)
    for key in ("one", "two", "three"):
        give_up(reporter, key)
    wait_until(lambda: len(seen) == 3)
    assert sum("on_failure raised" in line for line in log()) >= 2


def test_stop_reads_every_report_written_before(reporter: Reporter, listen: Any) -> None:
    failures: list[Failure] = []
    listener = listen(failures.append)
    for number in range(200):
        give_up(reporter, str(number))
    assert listener.stop(10)
    assert [failure.records[0]["key"] for failure in failures] == list(map(str, range(200)))


# Torn reports


@pytest.mark.parametrize("torn_at", [1, 2, 20, 100, -2])
def test_a_report_cut_off_by_a_death_affects_no_other(
    reporter: Reporter, wiring: Wiring, listen: Any, torn_at: int, log: Callable[[], list[str]]
) -> None:
    failures: list[Failure] = []
    give_up(reporter, "torn")
    torn = os.read(wiring.report_end, 65536)[:torn_at]
    listen(failures.append)
    os.write(wiring.report, torn)
    give_up(reporter, "whole")
    os.write(wiring.report, torn)
    os.write(wiring.report, torn)
    give_up(reporter, "and whole")
    wait_until(lambda: len(failures) == 2)
    assert [failure.records[0]["key"] for failure in failures] == ["whole", "and whole"]
    assert all("torn" in line or "not delivered" in line for line in log())


def test_a_report_without_its_newline_counts(
    reporter: Reporter, wiring: Wiring, listen: Any
) -> None:
    failures: list[Failure] = []
    give_up(reporter, "nearly torn")
    torn = os.read(wiring.report_end, 65536)[:-1]
    listen(failures.append)
    os.write(wiring.report, torn)
    give_up(reporter, "whole")
    wait_until(lambda: len(failures) == 2)


# Many writers

WRITER = """
import os, sys
from dataart_mp.queue.arena import Arena
from dataart_mp.worker.batch import Batch
from dataart_mp.worker.reporter import Reporter
from dataart_mp.transport.response import Response

arena_fd, report_fd, name = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
reporter = Reporter(Arena(arena_fd), report_fd, with_records=True)
for number in range(30):
    record = b'{"key":"%s-%d","pad":"%s"}\\n' % (name.encode(), number, b"x" * 50_000)
    reporter.gave_up("rejected", Batch("k", False, 0, record), Response(400), 1)
"""


def test_reports_of_many_processes_are_not_interleaved(
    arena: Arena, wiring: Wiring, listen: Any
) -> None:
    """Each is longer than what a pipe accepts in one write."""
    failures: list[Failure] = []
    listener = listen(failures.append)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(arena.fd), str(wiring.report), name],
            pass_fds=(arena.fd, wiring.report),
        )
        for name in "abc"
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert listener.stop(10)
    keys = [failure.records[0]["key"] for failure in failures]
    assert sorted(keys) == sorted(f"{name}-{number}" for name in "abc" for number in range(30))


def test_reports_of_many_threads_are_not_interleaved(reporter: Reporter, listen: Any) -> None:
    failures: list[Failure] = []
    listener = listen(failures.append)

    def work(name: str) -> None:
        for number in range(20):
            give_up(reporter, f"{name}-{number}" + "x" * 20_000)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert listener.stop(10)
    assert len({failure.records[0]["key"] for failure in failures}) == 80


# Without a reader


def test_a_full_pipe_holds_up_a_worker_once_and_then_not_for_a_while(
    reporter: Reporter, wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_module, "_PATIENCE_SECONDS", 0.2)
    for _ in range(100):
        give_up(reporter, "x" * 10_000)
    assert reporter._silent_until > time.monotonic()
    started = time.monotonic()
    for _ in range(100):
        give_up(reporter, "x" * 10_000)
    assert time.monotonic() - started < 0.2
    os.read(wiring.report_end, 1 << 20)
    monkeypatch.setattr(reporter, "_silent_until", 0.0)
    give_up(reporter, "heard")
    assert b"heard" in os.read(wiring.report_end, 1 << 20)


def test_the_first_report_after_a_full_pipe_is_complete(
    reporter: Reporter, wiring: Wiring, listen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report that did not fit precedes it, cut off."""
    monkeypatch.setattr(report_module, "_PATIENCE_SECONDS", 0.05)
    failures: list[Failure] = []
    for _ in range(30):
        give_up(reporter, "x" * 10_000)
    listen(failures.append)
    wait_until(lambda: failures)
    monkeypatch.setattr(reporter, "_silent_until", 0.0)
    give_up(reporter, "heard")
    wait_until(lambda: failures[-1].records[0]["key"] == "heard")


def test_a_worker_continues_without_delay_when_the_reader_is_gone(
    arena: Arena, wiring: Wiring
) -> None:
    """The application was killed, and its workers deliver what is left."""
    wiring.stop_reading()
    reporter = Reporter(arena, wiring.report, with_records=True)
    started = time.monotonic()
    for _ in range(100):
        give_up(reporter, "lost")
    assert time.monotonic() - started < 1


def test_a_writer_that_hangs_holds_up_others_for_at_most_the_timeout(
    reporter: Reporter, arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_module, "_PATIENCE_SECONDS", 0.2)
    assert arena.locks.acquire(REPORTER)
    started = time.monotonic()
    give_up(reporter, "lost")
    assert 0.15 < time.monotonic() - started < 2
    arena.locks.release(REPORTER)
