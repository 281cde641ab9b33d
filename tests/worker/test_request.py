"""A request says when it is sent."""

from datetime import UTC, datetime, timedelta

from dataart_mp.worker.request import Moment


def test_the_moment_of_sending_is_now_with_an_offset() -> None:
    before = datetime.now(UTC)
    sent = datetime.fromisoformat(Moment.this().timestamp.decode())
    assert sent.utcoffset() == timedelta(0)
    assert before <= sent <= datetime.now(UTC)
