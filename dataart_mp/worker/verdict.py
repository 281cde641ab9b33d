"""The verdict: what an answer means for the batch it answers."""

import email.utils
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from dataart_mp.transport.response import Response

RETRY_AFTER_CAP: Final = 300.0
"""Seconds; a server that asks for more is tried again after this."""

# Answers that may be another one next time, besides 5xx: no permission (nor the proxy's), not
# found, timeout, too early, too many. A key that is being rotated or a route that is being deployed
# must not cost the events in between.
_MAY_GET_BETTER: Final = frozenset({401, 403, 404, 407, 408, 425, 429})
CONTENT_TOO_LARGE: Final = 413
# Bad request, unprocessable.
_ONE_OF_THEM_IS_BAD: Final = frozenset({400, CONTENT_TOO_LARGE, 422})


@dataclass(frozen=True, slots=True)
class Delivered:
    """The platform has it."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again, not before `after` seconds."""

    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Split:
    """Try again in two parts: one of the records may be what the platform doesn't take."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The platform will never take it."""


Verdict = Delivered | Retry | Split | Rejected


def judge(answer: Response, records: int, now: datetime) -> Verdict:
    """What to do with a batch of `records` records that was answered like this.

    Args:
        answer: what came back.
        records: how many records the batch holds.
        now: the time, with its zone; a `Retry-After` date is compared to it.
    """
    match answer.status:
        case None:
            return Retry()
        case status if status < 200:  # a word in between; the answer itself was not waited for
            return Retry()
        case status if 200 <= status < 300:
            return Delivered()
        case status if status >= 500 or status in _MAY_GET_BETTER:
            return Retry(retry_after(answer.retry_after, now))
        case status if status in _ONE_OF_THEM_IS_BAD and records > 1:
            return Split()
        case _:  # other 4xx; and 3xx, for a redirect would carry the API key away
            return Rejected()


def retry_after(value: str | None, now: datetime) -> float:
    """The seconds a `Retry-After` header asks for, 0 to RETRY_AFTER_CAP (RFC 9110, 10.2.3).

    A value that is neither seconds nor a date asks for nothing.
    """
    if value is None:
        return 0.0
    value = value.strip()
    if value.isdecimal():
        return min(float(value), RETRY_AFTER_CAP)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # of numbers in it that no date holds
        return 0.0
    seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    return min(max(seconds, 0.0), RETRY_AFTER_CAP)
