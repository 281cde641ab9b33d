"""Why a request is wrong."""

from __future__ import annotations

SHOWN_CHARS = 80


class RejectionError(Exception):
    """A request is wrong: a 4xx, and where and why.

    Attributes:
        field: Path of what is wrong: `actions[3].timestamp`, `header X-API-Key`, `body`.
        problem: What is wrong with it.
        status: The answer's status.
    """

    def __init__(self, field: str, problem: str, status: int = 400) -> None:
        super().__init__(field, problem, status)
        self.field = field
        self.problem = problem
        self.status = status

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"

    def within(self, path: str) -> RejectionError:
        """The same, seen from outside: `timestamp` within `actions[3]`."""
        field = f"{path}.{self.field}" if self.field else path
        return RejectionError(field, self.problem, self.status)


def shown(value: object) -> str:
    """How a value appears in a message: as Python writes it, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"
