"""The verdict: what a response means for its batch."""

import email.utils
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from dataart_mp.transport.response import Response

RETRY_AFTER_CAP: Final = 300.0
"""Seconds; a server that asks for a longer delay is tried again after this."""

# Statuses that may change, besides 3xx and 5xx: unauthorized, forbidden, not found, proxy
# authentication required, timeout, conflict, too early. A key that is being rotated or a route that
# is being deployed must not cost the events in between. A conflict, when every request has an
# Idempotency-Key, means that an earlier attempt is still being processed.
_TEMPORARY: Final = frozenset({401, 403, 404, 407, 408, 409, 425})
_TOO_MANY_REQUESTS: Final = 429
# With Retry-After, it says that the platform is busy; without it, it is the answer of a broken one.
_UNAVAILABLE: Final = 503
# No response, or one of a platform or a gateway that cannot cope.
_OVERLOADED: Final = frozenset({None, _UNAVAILABLE, 504})
CONTENT_TOO_LARGE: Final = 413
# Bad request, content too large, unprocessable content: a single record may be the reason.
_ABOUT_CONTENT: Final = frozenset({400, CONTENT_TOO_LARGE, 422})


@dataclass(frozen=True, slots=True)
class Delivered:
    """The platform has accepted the batch."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Send the batch again.

    Attributes:
        after: The shortest delay that the platform asks for, in seconds.
    """

    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Later:
    """Send the batch later: the platform is too busy, and has not processed it.

    This is not a failed attempt. How often it may happen is not limited.

    Attributes:
        after: The shortest delay that the platform asks for, in seconds.
    """

    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Split:
    """Send the batch again in two parts, because a single record may be the reason."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The platform will never accept the batch."""


Verdict = Delivered | Retry | Later | Split | Rejected


def is_success(status: int) -> bool:
    """Return whether a response with this status is judged `Delivered`, whatever else it says."""
    return 200 <= status < 300


def judge(response: Response, now: datetime, *, is_divisible: bool) -> Verdict:
    """Return what to do with a batch, given the response to it.

    Args:
        response: What came back.
        now: The time, with its UTC offset; a date in `Retry-After` is compared to it if the
            response has no date.
        is_divisible: Whether the batch has two records or more.
    """
    requested = _requested_delay(response.retry_after, now, response.date)
    match response.status:
        case None:
            return Retry()
        case status if status < 200:  # 101; the server speaks another protocol
            return Retry()
        case status if is_success(status):
            return Delivered()
        case status if status == _TOO_MANY_REQUESTS:
            return Later(requested or 0.0)
        case status if status == _UNAVAILABLE and requested is not None:
            return Later(requested)
        # To follow a redirect would disclose the API key. No 3xx status refuses the content: a
        # login page or a wrong route is in between, until somebody corrects it.
        case status if 300 <= status < 400 or status >= 500 or status in _TEMPORARY:
            return Retry(requested or 0.0)
        case status if status in _ABOUT_CONTENT and is_divisible:
            return Split()
        case _:  # other 4xx
            return Rejected()


def is_overload(response: Response) -> bool:
    """Return whether a failure may be due to too many requests: no response, 503 or 504."""
    return response.status in _OVERLOADED


def retry_after(value: str | None, now: datetime, date: str | None = None) -> float:
    """Return the delay that a `Retry-After` header asks for (RFC 9110, 10.2.3).

    Args:
        value: The header; one that is neither seconds nor a date asks for no delay.
        now: The time, with its UTC offset.
        date: The `Date` header of the same response. A date in `Retry-After` is compared to it
            rather than to the clock of this machine, which may be wrong.

    Returns:
        Seconds, from 0 to RETRY_AFTER_CAP.
    """
    return _requested_delay(value, now, date) or 0.0


def _requested_delay(value: str | None, now: datetime, date: str | None) -> float | None:
    """Return what `retry_after` does; None for a header that asks for no delay."""
    if value is None:
        return None
    value = value.strip()
    if value.isdecimal():
        return min(float(value), RETRY_AFTER_CAP)
    moment = _moment(value)
    if moment is None:
        return None
    sent = None if date is None else _moment(date)
    seconds = (moment - (sent or now)).total_seconds()
    return min(max(seconds, 0.0), RETRY_AFTER_CAP)


def _moment(value: str) -> datetime | None:
    """Return the moment of an HTTP date; None if it is not one."""
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # OverflowError: numbers that a date cannot hold
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC)
