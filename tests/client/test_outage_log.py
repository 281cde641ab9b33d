"""The log of an outage is complete and short: once for each client, not once for each worker."""

import re
from pathlib import Path

import pytest

from dataart_mp import Client
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.producer import outage_log
from tests.client.tools import emit, leave_behind
from tests.support import Configure, wait_until, workers_of

QUICK = {
    "flush_num_processes": 2,
    "flush_num_retries": 1,
    "max_request_bytes": 8192,
    "flush_buffer_size": 50,
}
DOWN = {"kind": "status", "status": 503}


@pytest.fixture
def sink(platform: SinkProcess) -> SinkProcess:
    """One sink for all tests, because starting one takes longer than most of them."""
    return platform


def lines_with(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    messages = [record.getMessage() for record in caplog.records]
    return [message for message in messages if text in message]


def test_an_outage_is_logged_from_its_start_to_the_last_record_once_for_all_workers(
    config: Configure,
    sink: SinkProcess,
    spool: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outage_log, "FIRST_INTERVAL_SECONDS", 1.0)
    sink.set_faults(DOWN)
    host = sink.url.removeprefix("http://")
    with Client(config(spool_dir=spool, **QUICK)) as client:
        emit(client, 0, 400)
        wait_until(lambda: client.stats().parked == 400 and len(workers_of(client)) == 2)
        wait_until(lambda: lines_with(caplog, "has been failing"))
        sink.clear_faults()
        wait_until(lambda: client.stats().delivered == 400)
        wait_until(lambda: lines_with(caplog, "are sent:"))
    (start,) = lines_with(caplog, " fails (")
    assert start.startswith(f"delivery to {host} fails (status 503, ")
    for course in lines_with(caplog, "has been failing"):  # a second one after two more seconds
        assert re.search(r": \d+ records pending(, the oldest for \d+ s)?, and \d+ parked$", course)
    (end,) = lines_with(caplog, "works again")
    assert re.match(
        rf"delivery to {host} works again after \d+ s; .*4?\d\d records parked are sent now$", end
    )
    (result,) = lines_with(caplog, "the records of the outage")
    assert result == (
        "the records of the outage are sent: 400 delivered, 0 rejected, 0 failed since it began"
    )


def test_a_client_that_is_closed_in_an_outage_says_what_is_left(
    config: Configure, sink: SinkProcess, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink.set_faults(DOWN)
    client = Client(config(spool_dir=spool, **QUICK))
    emit(client, 0, 100)
    wait_until(lambda: client.stats().parked == 100 and lines_with(caplog, " fails ("))
    assert client.close(5) == 0
    (end,) = lines_with(caplog, "the client ends while delivery")
    assert end.endswith("0 records pending, and 100 parked")
    sink.clear_faults()


def test_what_is_taken_over_is_logged_with_what_became_of_it(
    config: Configure, sink: SinkProcess, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    leave_behind(sink, spool, parked=0)
    with Client(config(spool_dir=spool)):
        wait_until(lambda: lines_with(caplog, "are settled"))
    (taken,) = lines_with(caplog, "taking over")
    count = int(re.findall(r"\d+", taken)[0])
    (settled,) = lines_with(caplog, "are settled")
    assert settled == (
        "spool: the records of a client that died are settled: "
        f"{count} delivered, 0 parked, 0 rejected, 0 failed"
    )
