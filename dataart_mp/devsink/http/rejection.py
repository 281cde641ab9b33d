"""The error of a wrong request."""

from __future__ import annotations

SHOWN_CHARS = 80


class RejectionError(Exception):
    """A request is wrong; the sink responds with a 4xx that names the field and the problem.

    Attributes:
        field: Path of the wrong part: `actions[3].timestamp`, `header X-API-Key`, `body`.
        problem: What is wrong with it.
        status: Status of the response.
    """

    def __init__(self, field: str, problem: str, status: int = 400) -> None:
        super().__init__(field, problem, status)
        self.field = field
        self.problem = problem
        self.status = status

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"

    def as_json(self) -> dict[str, str]:
        """Return the content of the response."""
        return {"error": str(self), "field": self.field}

    def within(self, path: str) -> RejectionError:
        """Return the same error with its field below a path: `timestamp` within `actions[3]`."""
        field = f"{path}.{self.field}" if self.field else path
        return RejectionError(field, self.problem, self.status)


def shown(value: object) -> str:
    """Return a value as it appears in a message: its repr, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"
