"""What the client gave up on, as `on_failure` receives it."""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Records that will not be delivered, and why.

    Attributes:
        reason: In words: `"rejected"` (the platform refuses these records whenever they are
            sent), `"retries exhausted"`, `"delivery_timeout over"`, or `"spool full"` (there was
            no room to park them any more until the platform answers again).
        kind: What the records are.
        records: The decoded events, as they stood in the request.
        status: HTTP status of the last answer; None when there was no answer.
        answer: The first bytes of the last answer as text, or the text of the exception.
        attempts: How many tries have failed: requests of their own, or the one that found out for
            all that the platform did not answer.
    """

    reason: str
    kind: Literal["action", "identity"]
    records: tuple[dict[str, Any], ...]
    status: int | None = None
    answer: str = ""
    attempts: int = 1

    def __str__(self) -> str:
        """Say it on one line, without the records: they may be personal data."""
        plural = "actions" if self.kind == "action" else "identities"
        noun = self.kind if len(self.records) == 1 else plural
        times = "attempt" if self.attempts == 1 else "attempts"
        status = "no answer" if self.status is None else f"status {self.status}"
        text = f"{len(self.records)} {noun} {self.reason} after {self.attempts} {times}: {status}"
        return f"{text}, {self.answer!r}" if self.answer else text
