"""Every response has exactly one verdict, and every `Retry-After` is harmless."""

from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dataart_mp.delivery.verdict import (
    RETRY_AFTER_CAP,
    Delivered,
    Later,
    Rejected,
    Retry,
    Split,
    Verdict,
    is_success,
    judge,
    retry_after,
)
from dataart_mp.transport.response import Response

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)

# Every other status is rejected.
RETRIED = {
    *range(100, 200),
    *range(300, 400),
    *(401, 403, 404, 407, 408, 409, 425),
    *range(500, 600),
}
DELIVERED = set(range(200, 300))
SPLIT = {400, 413, 422}


@pytest.mark.parametrize("status", range(100, 600))
def test_a_status_is_a_success_if_a_batch_with_it_is_delivered(status: int) -> None:
    assert is_success(status) == (status in DELIVERED)


def verdict_on(status: int | None, records: int) -> Verdict:
    return judge(Response(status), NOW, is_divisible=records > 1)


def verdicts(records: int) -> dict[int, Verdict]:
    return {status: verdict_on(status, records) for status in range(100, 600)}


def test_each_status_has_its_verdict_for_one_record() -> None:
    expected: dict[int, Verdict] = dict.fromkeys(range(100, 600), Rejected())
    expected |= dict.fromkeys(DELIVERED, Delivered())
    expected |= dict.fromkeys(RETRIED, Retry())
    expected[429] = Later()
    assert verdicts(records=1) == expected


def test_several_records_are_split_if_one_of_them_may_be_the_reason() -> None:
    assert verdicts(records=20) == verdicts(records=1) | dict.fromkeys(SPLIT, Split())


def test_no_response_is_a_retry() -> None:
    assert verdict_on(None, 1) == verdict_on(None, 20) == Retry()


def test_two_records_are_split_and_one_is_not() -> None:
    assert verdict_on(413, 2) == Split()
    assert verdict_on(413, 1) == Rejected()


@pytest.mark.parametrize("records", [1, 20])
def test_a_redirect_is_retried_because_it_does_not_refuse_the_events(records: int) -> None:
    """A login page or a route that is being changed must not cost the events in between."""
    assert {type(verdict_on(status, records)) for status in range(300, 400)} == {Retry}


@pytest.mark.parametrize("records", [1, 20])
def test_a_conflict_is_retried_because_an_earlier_attempt_is_still_being_processed(
    records: int,
) -> None:
    assert verdict_on(409, records) == Retry()


@pytest.mark.parametrize("records", [1, 20])
def test_only_a_busy_platform_asks_to_send_later(records: int) -> None:
    for status in range(100, 600):
        is_later = isinstance(
            judge(Response(status, retry_after="7"), NOW, is_divisible=records > 1), Later
        )
        assert is_later == (status in (429, 503))
    assert judge(Response(429, retry_after="7"), NOW, is_divisible=records > 1) == Later(7.0)
    assert judge(Response(503, retry_after="0"), NOW, is_divisible=records > 1) == Later(0.0)


@pytest.mark.parametrize("value", [None, "", "soon", "-1"])
def test_an_unavailable_platform_that_names_no_time_has_failed(value: str | None) -> None:
    """A broken one responds in this way, and its batches must not be sent forever."""
    assert judge(Response(503, retry_after=value), NOW, is_divisible=False) == Retry()
    assert judge(Response(429, retry_after=value), NOW, is_divisible=False) == Later()


@pytest.mark.parametrize("status", [500, 502, 504, 404, 409, 307])
def test_retry_after_is_respected_with_every_status_that_is_retried(status: int) -> None:
    assert judge(Response(status, retry_after="7"), NOW, is_divisible=False) == Retry(7.0)


def test_retry_after_has_no_effect_on_what_is_delivered_split_or_rejected() -> None:
    verdicts = [
        judge(Response(status, retry_after="7"), NOW, is_divisible=True)
        for status in (200, 413, 405)
    ]
    assert verdicts == [Delivered(), Split(), Rejected()]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0.0),
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("007", 7.0),
        ("300", 300.0),
        ("301", RETRY_AFTER_CAP),
        ("9" * 20, RETRY_AFTER_CAP),
        ("9" * 400, RETRY_AFTER_CAP),  # more than a float can hold
        ("9" * 5000, RETRY_AFTER_CAP),  # more than int() accepts
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 14:00:30 +0200", 30.0),
        ("Thu, 01 Jan 2026 12:00:30 -0000", 30.0),
        ("Thursday, 01-Jan-26 12:00:30 GMT", 30.0),  # RFC 850, which RFC 9110 still requires
        ("Thu Jan  1 12:00:30 2026", 30.0),  # asctime, required too
        ("Thu, 01 Jan 2026 11:59:59 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", RETRY_AFTER_CAP),
        ("Fri, 31 Dec 9999 23:59:59 -2359", RETRY_AFTER_CAP),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_capped(value: str | None, seconds: float) -> None:
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "-1", "-9999", "+5", "1.5", "1e3", "soon", "5, 10", "5; 10", "0x10", "nan"),
        *("inf", "²", "Thu", "Thu, 32 Jan 2026 12:00:30 GMT", "Thu, 01 Jan 2026 25:00:00 GMT"),
        "Thu, 01 Jan 2026 12:00:30 +9999",
        "Thu, 01 Jan 99999 12:00:30 GMT",
    ],
)
def test_an_invalid_retry_after_asks_for_no_delay(value: str) -> None:
    assert retry_after(value, NOW) == 0.0


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        (None, 30.0),
        ("Thu, 01 Jan 2026 12:00:20 GMT", 10.0),
        ("Sat, 01 Jan 2000 00:00:00 GMT", RETRY_AFTER_CAP),
        ("Thu, 01 Jan 2026 12:00:40 GMT", 0.0),
        ("Thu, 01 Jan 2026 12:00:20 -0000", 10.0),
        ("not a date", 30.0),
        ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", 30.0),
    ],
)
def test_a_date_in_retry_after_is_compared_to_the_clock_of_the_platform(
    date: str | None, seconds: float
) -> None:
    """A clock of this machine that is wrong neither shortens nor lengthens the delay."""
    response = Response(503, retry_after="Thu, 01 Jan 2026 12:00:30 GMT", date=date)
    assert judge(response, NOW, is_divisible=False) == Later(seconds)


@given(
    st.lists(
        st.sampled_from(
            [
                *("Wed,", "21", "Oct", "2015", "07:28:00", "GMT", "+0000", "-0000", "-", "+"),
                *(":", ".", ",", "0", "7.8.9", "a:b", "\t", "(", "99999999999999999999"),
                *("+99999999999999999999", "-99999999999999999999", "1" * 400, "\x00", "é"),
            ]
        ),
        max_size=8,
    ).map(" ".join)
    | st.text(max_size=40)
)
@example("Wed, 21 Oct 2015 07:28:00 +999999999999999999")
@example("Wed, 21 Oct 99999999999999999999 07:28:00 GMT")
def test_no_retry_after_raises_an_error(value: str) -> None:
    """An error would end the worker, and then the next one, which sends the same batch."""
    assert 0.0 <= retry_after(value, NOW) <= RETRY_AFTER_CAP


@given(st.datetimes(min_value=NOW.replace(year=1000, tzinfo=None), timezones=st.just(UTC)))
def test_every_http_date_is_understood(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    expected = min(max((moment - NOW).total_seconds(), 0.0), RETRY_AFTER_CAP)
    assert retry_after(format_datetime(moment, usegmt=True), NOW) == expected


def test_no_server_can_ask_for_more_than_five_minutes() -> None:
    assert RETRY_AFTER_CAP == 300.0


@pytest.mark.parametrize("verdict", [Delivered(), Retry(), Later(), Split(), Rejected()])
def test_a_verdict_is_a_value(verdict: Verdict) -> None:
    assert verdict == replace(verdict)
    assert not hasattr(verdict, "__dict__")
    with pytest.raises((FrozenInstanceError, TypeError)):
        verdict.after = 1.0  # type: ignore[union-attr, misc]
