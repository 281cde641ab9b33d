"""The verdict: what a response means for its batch."""

import email.utils
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from dataart_mp.transport.response import Response

RETRY_AFTER_CAP: Final = 300.0
"""Seconds; a server that asks for a longer delay is tried again after this."""

# Statuses that may change, besides 5xx: unauthorized, forbidden, not found, proxy authentication
# required, timeout, too early, too many requests. A key that is being rotated or a route that is
# being deployed must not cost the events in between.
_TEMPORARY: Final = frozenset({401, 403, 404, 407, 408, 425, 429})
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
class Split:
    """Send the batch again in two parts, because a single record may be the reason."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The platform will never accept the batch."""


Verdict = Delivered | Retry | Split | Rejected


def judge(response: Response, records: int, now: datetime) -> Verdict:
    """Return what to do with a batch, given the response to it.

    Args:
        response: What came back.
        records: The number of records in the batch.
        now: The time, with its UTC offset; a date in `Retry-After` is compared to it.
    """
    match response.status:
        case None:
            return Retry()
        case status if status < 200:  # an interim response; the final one did not arrive
            return Retry()
        case status if 200 <= status < 300:
            return Delivered()
        case status if status >= 500 or status in _TEMPORARY:
            return Retry(retry_after(response.retry_after, now))
        case status if status in _ABOUT_CONTENT and records > 1:
            return Split()
        case _:  # other 4xx; and 3xx, because following a redirect would disclose the API key
            return Rejected()


def retry_after(value: str | None, now: datetime) -> float:
    """Return the delay that a `Retry-After` header asks for (RFC 9110, 10.2.3).

    Args:
        value: The header; one that is neither seconds nor a date asks for no delay.
        now: The time, with its UTC offset.

    Returns:
        Seconds, from 0 to RETRY_AFTER_CAP.
    """
    if value is None:
        return 0.0
    value = value.strip()
    if value.isdecimal():
        return min(float(value), RETRY_AFTER_CAP)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # OverflowError: numbers that a date cannot hold
        return 0.0
    seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    return min(max(seconds, 0.0), RETRY_AFTER_CAP)
