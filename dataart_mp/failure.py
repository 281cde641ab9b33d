"""The argument of `on_failure`: records that failed permanently."""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Records that will not be delivered, and why.

    Attributes:
        reason: `"rejected"` (the platform refuses these records permanently), `"retries
            exhausted"`, `"delivery_timeout over"`, `"spool full"` (the spool has no room to park
            them until the platform is reachable again), or `"spool lost"` (the file of parked
            records was removed or damaged; then `records` is empty).
        kind: Whether the records are actions or identities.
        records: The decoded events, as they were sent.
        status: HTTP status of the last response; None if there was no response.
        answer: The first bytes of the last response as text, or the text of the exception.
        attempts: Number of failed attempts. During an outage, one request may count as an attempt
            for all waiting batches.
    """

    reason: str
    kind: Literal["action", "identity"]
    records: tuple[dict[str, Any], ...]
    status: int | None = None
    answer: str = ""
    attempts: int = 1

    def __str__(self) -> str:
        """Describe the failure on one line, without the records: they may hold personal data."""
        plural = "actions" if self.kind == "action" else "identities"
        noun = self.kind if len(self.records) == 1 else plural
        times = "attempt" if self.attempts == 1 else "attempts"
        status = "no answer" if self.status is None else f"status {self.status}"
        text = f"{len(self.records)} {noun} {self.reason} after {self.attempts} {times}: {status}"
        return f"{text}, {self.answer!r}" if self.answer else text
