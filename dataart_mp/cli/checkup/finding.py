"""What one check has found."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dataart_mp.errors import DataArtError


class Outcome(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    SKIPPED = "skipped"


_MARKS: Final = {
    Outcome.OK: "✓",
    Outcome.WARNING: "!",
    Outcome.FAILURE: "✗",
    Outcome.SKIPPED: "-",
}
_WIDTH: Final = 17


@dataclass(frozen=True)
class Finding:
    """What one check has found.

    Attributes:
        check: What was checked, in a word or two.
        outcome: How it ended.
        detail: What was seen.
        remedy: What to do about it.
    """

    check: str
    outcome: Outcome
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        """One line, and one for the remedy."""
        line = f"{_MARKS[self.outcome]} {self.check:{_WIDTH}} {self.detail}"
        return f"{line}\n  {'':{_WIDTH}} → {self.remedy}" if self.remedy else line


def ok(check: str, detail: str) -> Finding:
    """All is well."""
    return Finding(check, Outcome.OK, detail)


def warning(check: str, detail: str, remedy: str) -> Finding:
    """It works, but."""
    return Finding(check, Outcome.WARNING, detail, remedy)


def skipped(check: str, detail: str) -> Finding:
    """There was nothing to check, or it could not be."""
    return Finding(check, Outcome.SKIPPED, detail)


class FailedError(DataArtError):
    """A check has failed, so that others make no sense.

    Args:
        check: What was checked.
        detail: What was seen.
        remedy: What to do about it.
    """

    def __init__(self, check: str, detail: str, remedy: str) -> None:
        super().__init__(check, detail, remedy)
        self.finding = Finding(check, Outcome.FAILURE, detail, remedy)
