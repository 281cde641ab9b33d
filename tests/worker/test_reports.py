"""Reports reach the application whole or not at all, and never delay a worker for long."""

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
from dataart_mp.delivery.batch import Batch
from dataart_mp.producer.encoder import encode_action, encode_identity
from dataart_mp.producer.outage_log import Backlog
from dataart_mp.producer.report_reader import ReportReader
from dataart_mp.queue.arena import Arena
from dataart_mp.queue.locks import REPORTER
from dataart_mp.supervision.wiring import Wiring
from dataart_mp.transport.response import Response
from dataart_mp.worker import reporter as report_module
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
    made = Wiring.make()
    yield made
    made.close()


@pytest.fixture
def reporter(arena: Arena, wiring: Wiring) -> Reporter:
    return Reporter(arena, wiring.report_write_fd, with_records=True)


@pytest.fixture
def read_reports(wiring: Wiring) -> Iterator[Callable[[OnFailure | None], ReportReader]]:
    readers: list[ReportReader] = []

    def start(on_failure: OnFailure | None) -> ReportReader:
        readers.append(ReportReader(wiring.report_read_fd, on_failure))
        readers[-1].start()
        return readers[-1]

    yield start
    for reader in readers:
        assert reader.thread.has_ended.is_set() or reader.stop(10)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    with caplog.at_level(logging.INFO, "dataart_mp"):
        yield lambda: [record.getMessage() for record in caplog.records]


def actions(*keys: str) -> Batch:
    content = b"".join(encode_action(key, "ann", False, None, {"ü": "\n\0"}) for key in keys)
    return Batch("key-1", False, 0, content)


def fail(reporter: Reporter, *keys: str, reason: str = "rejected") -> None:
    reporter.failed(reason, actions(*keys), Response(400, "bad\nkey ü"), 2)


# What arrives


def test_a_failure_arrives_with_its_records_decoded(reporter: Reporter, read_reports: Any) -> None:
    failures: list[Failure] = []
    read_reports(failures.append)
    fail(reporter, "one", "two")
    wait_until(lambda: failures)
    (failure,) = failures
    assert (failure.reason, failure.kind, failure.status) == ("rejected", "action", 400)
    assert (failure.answer, failure.attempts) == ("bad\nkey ü", 2)
    assert [record["key"] for record in failure.records] == ["one", "two"]
    assert failure.records[0]["metadata"] == {"ü": "\n\0"}


def test_it_is_not_counted_for_each_report_of_an_outage_what_waits(
    reporter: Reporter, wiring: Wiring
) -> None:
    counted: list[Backlog] = []
    failures: list[Failure] = []

    def count() -> Backlog:
        counted.append(Backlog(pending=20, is_failing=True))
        return counted[-1]

    reader = ReportReader(wiring.report_read_fd, failures.append, "platform", count)
    reader.start()
    reporter.retrying(Response(503, "down"), 5.0)
    for _ in range(100):
        fail(reporter, "one")
        reporter.retrying(Response(503, "down"), 5.0)
    wait_until(lambda: len(failures) == 100)
    assert len(counted) == 1, "when the outage began"
    assert reader.stop(10)


def test_a_damaged_record_stops_no_report(reporter: Reporter, read_reports: Any) -> None:
    failures: list[Failure] = []
    read_reports(failures.append)
    content = b'{"key":"a"}\n{"key":\xff\x00\n[]\n{"key":"b"}\n'
    batch = Batch("key", is_identity=False, start=0, content=content)
    reporter.failed("rejected", batch, Response(400), 1)
    fail(reporter, "c")
    wait_until(lambda: len(failures) == 2)
    keys = [[record["key"] for record in failure.records] for failure in failures]
    assert keys == [["a", "b"], ["c"]]


def test_a_failed_identity_arrives_as_an_identity(reporter: Reporter, read_reports: Any) -> None:
    failures: list[Failure] = []
    read_reports(failures.append)
    batch = Batch("key-1", True, 0, encode_identity("ann", {"plan": "free"}))
    reporter.failed("retries exhausted", batch, Response(None, "refused"), 4)
    wait_until(lambda: failures)
    assert failures[0].kind == "identity"
    assert failures[0].records == ({"user_key": "ann", "metadata": {"plan": "free"}},)
    assert failures[0].status is None


def test_records_are_not_sent_if_the_application_has_no_callback(
    arena: Arena, wiring: Wiring
) -> None:
    """They may be personal data, and large."""
    fail(Reporter(arena, wiring.report_write_fd, with_records=False), "secret")
    text = os.read(wiring.report_read_fd, 65536)
    assert b"secret" not in text
    assert json.loads(text)["count"] == 1


def test_failures_are_logged_even_without_a_callback(
    reporter: Reporter, read_reports: Any, log: Callable[[], list[str]]
) -> None:
    read_reports(None)
    fail(reporter, "one", "two")
    wait_until(log)
    assert log()[0].startswith("2 records not delivered: rejected, status 400, 'bad")


def test_the_log_is_not_flooded_and_counts_every_record(
    reporter: Reporter, read_reports: Any, log: Callable[[], list[str]]
) -> None:
    reader = read_reports(None)
    for _ in range(500):
        fail(reporter, "one")
    assert reader.stop(10)
    counts = [int(line.split()[0]) for line in log()]
    assert len(counts) <= 3
    assert sum(counts) == 500


def test_an_outage_and_a_crash_are_logged(
    reporter: Reporter, read_reports: Any, log: Callable[[], list[str]]
) -> None:
    read_reports(None)
    reporter.retrying(Response(503, "down"), 5.0)
    reporter.retrying(Response(503, "down"), 10.0)
    reporter.few_threads(2, 8, RuntimeError("can't start new thread"))
    reporter.crashed("Traceback: oh dear")
    wait_until(lambda: len(log()) == 3)
    assert log() == [
        "delivery fails (status 503, 'down'); trying again in 5.0 s",
        "a worker continues with 2 of 8 threads: can't start new thread; raise the limits "
        "of memory and of processes and threads (ulimit -u, docker --pids-limit)",
        "a worker crashed: Traceback: oh dear",
    ]


def test_an_exception_in_on_failure_does_not_affect_later_reports(
    reporter: Reporter, read_reports: Any, log: Callable[[], list[str]]
) -> None:
    seen: list[str] = []

    def on_failure(failure: Failure) -> None:
        seen.append(failure.records[0]["key"])
        raise ValueError(f"no place for {seen[-1]}")

    read_reports(on_failure)
    for key in ("one", "two", "three"):
        fail(reporter, key)
    wait_until(lambda: len(seen) == 3)
    assert sum("on_failure raised" in line for line in log()) >= 2


def test_stop_reads_everything_that_was_written_before(
    reporter: Reporter, read_reports: Any
) -> None:
    failures: list[Failure] = []
    reader = read_reports(failures.append)
    for number in range(200):
        fail(reporter, str(number))
    assert reader.stop(10)
    assert [failure.records[0]["key"] for failure in failures] == list(map(str, range(200)))


# Torn reports


@pytest.mark.parametrize("torn_at", [1, 2, 20, 100, -2])
def test_a_torn_report_damages_no_other(
    reporter: Reporter,
    wiring: Wiring,
    read_reports: Any,
    torn_at: int,
    log: Callable[[], list[str]],
) -> None:
    failures: list[Failure] = []
    fail(reporter, "torn")
    torn = os.read(wiring.report_read_fd, 65536)[:torn_at]
    read_reports(failures.append)
    os.write(wiring.report_write_fd, torn)
    fail(reporter, "whole")
    os.write(wiring.report_write_fd, torn)
    os.write(wiring.report_write_fd, torn)
    fail(reporter, "and whole")
    wait_until(lambda: len(failures) == 2)
    assert [failure.records[0]["key"] for failure in failures] == ["whole", "and whole"]
    assert all("torn" in line or "not delivered" in line for line in log())


def test_a_report_that_lacks_only_its_newline_is_read(
    reporter: Reporter, wiring: Wiring, read_reports: Any
) -> None:
    failures: list[Failure] = []
    fail(reporter, "nearly torn")
    torn = os.read(wiring.report_read_fd, 65536)[:-1]
    read_reports(failures.append)
    os.write(wiring.report_write_fd, torn)
    fail(reporter, "whole")
    wait_until(lambda: len(failures) == 2)


# Reports that cannot be understood


def test_a_report_of_another_version_is_logged_by_name_and_counted(
    reporter: Reporter, wiring: Wiring, read_reports: Any, log: Callable[[], list[str]]
) -> None:
    """The package may have been upgraded while the application that reads was running."""
    reader = read_reports(None)
    for _ in range(3):
        os.write(wiring.report_write_fd, b'\n{"report": "Explodes", "lost": 0}\n')
    os.write(wiring.report_write_fd, b'\n{"report": "Removed", "lost": 0}\n')
    reporter.crashed("Traceback: a bug")
    assert reader.stop(10)
    lines = log()
    assert sum(int(line.split()[0]) for line in lines if "unknown kind 'Explodes'" in line) == 3
    assert "1 report ignored: Removed without 'batches'" in lines
    assert "a worker crashed: Traceback: a bug" in lines


def test_lost_reports_are_counted_in_the_log(
    wiring: Wiring, read_reports: Any, log: Callable[[], list[str]]
) -> None:
    os.write(wiring.report_write_fd, b'\n{"report": "Removed", "lost": 5, "batches": 1}\n')
    assert read_reports(None).stop(10)
    assert "5 reports lost: on_failure is too slow" in log()


# Many writers

WRITER = """
import os, sys
from dataart_mp.queue.arena import Arena
from dataart_mp.delivery.batch import Batch
from dataart_mp.worker.reporter import Reporter
from dataart_mp.transport.response import Response

arena_fd, lock_fd, report_fd = map(int, sys.argv[2:])
name = sys.argv[1]
reporter = Reporter(Arena(arena_fd, lock_fd), report_fd, with_records=True)
for number in range(30):
    record = b'{"key":"%s-%d","pad":"%s"}\\n' % (name.encode(), number, b"x" * 50_000)
    reporter.failed("rejected", Batch("k", False, 0, record), Response(400), 1)
"""


def test_reports_of_many_processes_never_mix(
    arena: Arena, wiring: Wiring, read_reports: Any
) -> None:
    """Each is longer than what a pipe accepts in one piece."""
    failures: list[Failure] = []
    reader = read_reports(failures.append)
    fds = (arena.fd, arena.lock_fd, wiring.report_write_fd)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, name, *map(str, fds)], pass_fds=fds)
        for name in "abc"
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert reader.stop(10)
    keys = [failure.records[0]["key"] for failure in failures]
    assert sorted(keys) == sorted(f"{name}-{number}" for name in "abc" for number in range(30))


def test_reports_of_many_threads_never_mix(reporter: Reporter, read_reports: Any) -> None:
    failures: list[Failure] = []
    reader = read_reports(failures.append)

    def work(name: str) -> None:
        for number in range(20):
            fail(reporter, f"{name}-{number}" + "x" * 20_000)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reader.stop(10)
    assert len({failure.records[0]["key"] for failure in failures}) == 80


# No process reads


def test_a_full_pipe_delays_a_worker_once_and_then_not_for_a_while(
    reporter: Reporter, wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_module, "_TIMEOUT_SECONDS", 0.2)
    for _ in range(100):
        fail(reporter, "x" * 10_000)
    assert reporter._paused_until > time.monotonic()
    monkeypatch.setattr(report_module, "_TIMEOUT_SECONDS", 60.0)
    started = time.monotonic()
    for _ in range(100):
        fail(reporter, "x" * 10_000)
    assert time.monotonic() - started < 25, "it does not wait again"
    os.read(wiring.report_read_fd, 1 << 20)
    monkeypatch.setattr(reporter, "_paused_until", 0.0)
    fail(reporter, "read")
    assert b"read" in os.read(wiring.report_read_fd, 1 << 20)


def test_the_first_report_after_a_pause_is_whole(
    reporter: Reporter, wiring: Wiring, read_reports: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report that did not fit precedes it, torn."""
    monkeypatch.setattr(report_module, "_TIMEOUT_SECONDS", 0.05)
    failures: list[Failure] = []
    for _ in range(30):
        fail(reporter, "x" * 10_000)
    read_reports(failures.append)
    wait_until(lambda: failures)
    monkeypatch.setattr(report_module, "_TIMEOUT_SECONDS", 20.0)
    monkeypatch.setattr(reporter, "_paused_until", 0.0)
    fail(reporter, "read")
    wait_until(lambda: failures[-1].records[0]["key"] == "read")


def test_a_reader_that_has_died_costs_no_time_and_no_worker(arena: Arena, wiring: Wiring) -> None:
    """The application was killed, and its workers deliver the rest."""
    os.close(wiring.report_read_fd)
    reporter = Reporter(arena, wiring.report_write_fd, with_records=True)
    started = time.monotonic()
    for _ in range(100):
        fail(reporter, "lost")
    assert time.monotonic() - started < 1


def test_a_writer_that_hangs_delays_others_for_no_longer_than_the_timeout(
    reporter: Reporter, arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_module, "_TIMEOUT_SECONDS", 0.2)
    assert arena.locks.acquire(REPORTER)
    started = time.monotonic()
    fail(reporter, "lost")
    assert 0.15 < time.monotonic() - started < 2
    arena.locks.release(REPORTER)
