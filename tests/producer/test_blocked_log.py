"""A call that a full buffer blocks is logged, at most once a minute."""

import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from dataart_mp.producer.blocked_log import BlockedLog
from dataart_mp.producer.last_failure import LastFailure
from dataart_mp.queue.status import Status
from tests.queue.tools import in_a_child, queue_of


@pytest.fixture
def status() -> Iterator[Status]:
    with queue_of() as queue:
        yield Status(queue.arena)


@pytest.fixture
def log(status: Status, caplog: pytest.LogCaptureFixture) -> BlockedLog:
    caplog.set_level(logging.WARNING, "dataart_mp")
    return BlockedLog(lambda: LastFailure(status))


def test_a_call_is_logged_after_a_second(log: BlockedLog, caplog: pytest.LogCaptureFixture) -> None:
    log.waiting("emit_action", 0.9, 100.0)
    assert not caplog.messages
    log.waiting("emit_action", 1.0, 100.1)
    assert caplog.messages == [
        "buffer full: emit_action has been blocking for 1 s; "
        "events arrive faster than the platform accepts them"
    ]


def test_it_is_logged_once_a_minute(log: BlockedLog, caplog: pytest.LogCaptureFixture) -> None:
    for now in range(200):
        log.waiting("identify", 12.0, 100.0 + now)
    assert len(caplog.messages) == 4


def test_the_reason_names_the_response_and_the_beginning_of_the_outage(
    log: BlockedLog, status: Status, caplog: pytest.LogCaptureFixture
) -> None:
    status.failed(is_identity=True, is_open=False)
    status.note_error("no response, 'connection refused'")
    began = datetime.fromtimestamp(status.delivery(is_identity=True).failing_since / 1e9, UTC)
    since = began.astimezone().strftime("%H:%M:%S")
    assert str(LastFailure(status)) == f"the platform does not respond (since {since})"
    time.sleep(0.001)
    status.failed(is_identity=False, is_open=True)
    status.note_error("status 503, 'down'")
    log.waiting("emit_actions", 12.3, 100.0)
    assert caplog.messages == [
        "buffer full: emit_actions has been blocking for 12 s; "
        f"the platform answers 503 (since {since})"
    ]
    status.note_error("api_key_file: cannot be read")
    assert str(LastFailure(status)) == f"the platform accepts nothing (since {since})"
    status.works(is_identity=True)
    status.works(is_identity=False)
    assert str(LastFailure(status)) == "events arrive faster than the platform accepts them"


def test_a_forked_child_knows_the_reason_too(status: Status) -> None:
    """Workers write it into the memory that all processes of a client share."""
    failure = LastFailure(status)
    status.failed(is_identity=False, is_open=False)
    status.note_error("status 503, 'down'")

    def child() -> None:
        assert "answers 503" in str(failure)

    assert in_a_child(child) == 0
