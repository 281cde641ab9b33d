"""The report: what became of the rows of a part, or of all parts of a job."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self

MOST_SAMPLES: Final = 10
"""Bad rows, and rejected events, that a report shows at most."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be sent.

    Attributes:
        part: The part that it is in.
        row: Its number in the part, counted from 0.
        column: The column of the invalid value; None if the row as a whole is invalid.
        problem: What is wrong, and how to fix it.
    """

    part: str
    row: int
    column: str | None
    problem: str


@dataclass(frozen=True, slots=True)
class RejectedEvent:
    """An event that the platform refused permanently.

    Attributes:
        part: The part that it is in.
        status: The HTTP status.
        response: The first bytes of the response.
        record: The event as JSON, cut to a few hundred characters. It may be personal data.
    """

    part: str
    status: int | None
    response: str
    record: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of the rows of one part, or of several. `+` adds the reports of parts.

    Each row that was read is counted once:
    `rows = delivered + acknowledged + bad_rows + rejected + failed`.

    A report knows what its attempt of a part did. What attempts did that died, such as a task on an
    executor that was killed, no report knows: `may_repeat` is the upper bound of it.

    Attributes:
        rows: Rows that were read.
        delivered: Events that the platform accepted.
        acknowledged: Events that were not sent, because an earlier attempt has recorded in the
            checkpoint that they are settled: delivered, or rejected.
        bad_rows: Rows that cannot be sent.
        rejected: Events that the platform refused permanently.
        failed: Events of which no response says that they are settled, because the part ended with
            an error. It is 0 in what `ship_iter` returns; see `PartError.report`.
        requests: Requests that were sent.
        retries: Those that repeat an earlier one of the same attempt.
        may_repeat: Requests that may repeat one that the platform has processed already, at most:
            retries after a response that leaves it open, and the first requests of an attempt that
            is not the first. A platform that honours `Idempotency-Key` counts their events once.
        parts: Parts that were shipped to their end.
        bad_samples: The first bad rows.
        rejected_samples: The first rejected events.
    """

    rows: int = 0
    delivered: int = 0
    acknowledged: int = 0
    bad_rows: int = 0
    rejected: int = 0
    failed: int = 0
    requests: int = 0
    retries: int = 0
    may_repeat: int = 0
    parts: int = 0
    bad_samples: tuple[BadRow, ...] = ()
    rejected_samples: tuple[RejectedEvent, ...] = ()

    def __add__(self, other: "Report") -> "Report":
        if not isinstance(other, Report):
            return NotImplemented
        sums: dict[str, Any] = {
            one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)
        }
        for name in ("bad_samples", "rejected_samples"):
            sums[name] = sums[name][:MOST_SAMPLES]
        return Report(**sums)

    def __radd__(self, other: object) -> "Report":
        """Let `sum(reports)` begin with 0."""
        return self if other == 0 else NotImplemented

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make a report from the result of `as_dict`, or of `json.loads`."""
        bad = tuple(BadRow(**one) for one in data.get("bad_samples", ()))
        rejected = tuple(RejectedEvent(**one) for one in data.get("rejected_samples", ()))
        return cls(**{**data, "bad_samples": bad, "rejected_samples": rejected})

    def to_json(self) -> str:
        """Return the report as one line of JSON."""
        return json.dumps(self.as_dict())

    def __str__(self) -> str:
        """Show the counts in one line, and no event."""
        counts = [f"{self.delivered:,} of {self.rows:,} rows delivered"]
        losses = {
            "acknowledged before": self.acknowledged,
            "bad": self.bad_rows,
            "rejected": self.rejected,
            "failed": self.failed,
        }
        counts += [f"{count:,} {name}" for name, count in losses.items() if count]
        requests = f"{_counted(self.requests, 'request')} in {_counted(self.parts, 'part')}"
        repeats = f"{self.retries:,} retries, {self.may_repeat:,} may repeat earlier ones"
        return f"{', '.join(counts)}; {requests}, {repeats}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
