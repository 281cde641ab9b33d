"""Events that failed permanently, counted by cause."""

from collections import Counter
from typing import Any, NamedTuple

from dataart_mp.cli.message import printable
from dataart_mp.failure import Failure


class _Cause(NamedTuple):
    kind: str
    reason: str
    status: int | None


class Failures:
    """Counts failed records by cause: thousands of records may fail for the same reason.

    `add` can be the `on_failure` of a client.
    """

    def __init__(self) -> None:
        self._records: Counter[_Cause] = Counter()
        self._answers: dict[_Cause, str] = {}

    def add(self, failure: Failure) -> None:
        """Count the records of one failure."""
        cause = _Cause(failure.kind, failure.reason, failure.status)
        self._records[cause] += len(failure.records)
        self._answers.setdefault(cause, failure.answer)

    def as_json(self) -> list[dict[str, Any]]:
        """Return one object for each cause, with the first answer of the platform."""
        return [
            {**cause._asdict(), "records": count, "answer": self._answers[cause]}
            for cause, count in self._records.most_common()
        ]

    def __str__(self) -> str:
        """One line for each cause."""
        return "\n".join(self._line(cause, count) for cause, count in self._records.most_common())

    def _line(self, cause: _Cause, count: int) -> str:
        plural = "actions" if cause.kind == "action" else "identities"
        noun = cause.kind if count == 1 else plural
        status = "no answer" if cause.status is None else f"status {cause.status}"
        answer = f", {self._answers[cause]!r}" if self._answers[cause] else ""
        return printable(f"{count:,} {noun} ({cause.reason}): {status}{answer}")
