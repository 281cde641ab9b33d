"""A call that a full buffer blocks is logged, at most once a minute."""

import logging
from datetime import datetime

import pytest

from dataart_mp.producer.blocked_log import BlockedLog
from dataart_mp.producer.last_failure import LastFailure

NOON = datetime(2026, 5, 4, 12, 0, 11)  # noqa: DTZ001 - a log shows local time


@pytest.fixture
def failure() -> LastFailure:
    return LastFailure()


@pytest.fixture
def log(failure: LastFailure, caplog: pytest.LogCaptureFixture) -> BlockedLog:
    caplog.set_level(logging.WARNING, "dataart_mp")
    return BlockedLog(lambda: failure)


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
    log: BlockedLog, failure: LastFailure, caplog: pytest.LogCaptureFixture
) -> None:
    failure.failed(None, NOON)
    assert str(failure) == "the platform does not respond (since 12:00:11)"
    failure.failed(503, NOON.replace(hour=13))
    log.waiting("emit_actions", 12.3, 100.0)
    assert caplog.messages == [
        "buffer full: emit_actions has been blocking for 12 s; "
        "the platform answers 503 (since 12:00:11)"
    ]
    failure.recovered()
    failure.failed(500, NOON.replace(hour=14))
    assert str(failure) == "the platform answers 500 (since 14:00:11)"
