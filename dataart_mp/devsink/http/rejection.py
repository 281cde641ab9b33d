"""The error of a wrong request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SHOWN_CHARS = 80
# Problems listed in a response, which clients read only the beginning of, and in the log.
_IN_RESPONSE: Final = 10
_IN_LOG: Final = 100


class Problem(NamedTuple):
    """What is wrong with one part of a request.

    Attributes:
        field: Path of the wrong part: `actions[3].timestamp`, `header X-API-Key`, `body`.
        problem: What is wrong with it.
    """

    field: str
    problem: str

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"

    def within(self, path: str) -> Problem:
        """Return the problem with its field below a path: `timestamp` within `actions[3]`."""
        return Problem(f"{path}.{self.field}" if self.field else path, self.problem)


class RejectionError(Exception):
    """A request is wrong; the sink responds with a 4xx that names the field and the problem.

    Args:
        field: Path of the first wrong part.
        problem: What is wrong with it.
        status: Status of the response.
        others: The problems of all other wrong parts.

    Attributes:
        problems: All problems, the first one included.
        status: Status of the response.
    """

    def __init__(
        self, field: str, problem: str, status: int = 400, others: Iterable[Problem] = ()
    ) -> None:
        super().__init__(field, problem, status)
        self.problems = (Problem(field, problem), *others)
        self.status = status

    @property
    def field(self) -> str:
        """Path of the first wrong part."""
        return self.problems[0].field

    @property
    def problem(self) -> str:
        """What is wrong with the first wrong part."""
        return self.problems[0].problem

    def __str__(self) -> str:
        return str(self.problems[0])

    def as_json(self) -> dict[str, Any]:
        """Return the content of the response."""
        return {"error": str(self), "field": self.field, **self._listed(_IN_RESPONSE)}

    def as_log(self) -> dict[str, Any]:
        """Return the part of a log entry that says what is wrong."""
        return {"error": str(self), "field": self.field, **self._listed(_IN_LOG)}

    def within(self, path: str) -> RejectionError:
        """Return the same error with its fields below a path: `timestamp` within `actions[3]`."""
        return rejection([one.within(path) for one in self.problems], self.status)

    def _listed(self, limit: int) -> dict[str, Any]:
        errors = [{"field": one.field, "problem": one.problem} for one in self.problems[:limit]]
        return {"errors": errors, "more_errors": len(self.problems) - len(errors)}


def rejection(problems: Sequence[Problem], status: int = 400) -> RejectionError:
    """Return the error of a request with these problems; there must be one."""
    first, *others = problems
    return RejectionError(first.field, first.problem, status, others)


def shown(value: object) -> str:
    """Return a value as it appears in a message: its repr, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"
