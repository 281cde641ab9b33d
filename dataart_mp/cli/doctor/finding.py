"""The result of one check."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dataart_mp.cli.message import printable
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
    """The result of one check.

    Attributes:
        check: The name of the check, in one to three words.
        outcome: How the check ended.
        detail: What was observed.
        remedy: What to do about it; empty: nothing.
    """

    check: str
    outcome: Outcome
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        """The finding on one line, and its remedy on a second one."""
        line = f"{_MARKS[self.outcome]} {self.check:{_WIDTH}} {printable(self.detail)}"
        remedy = f"\n  {'':{_WIDTH}} → {printable(self.remedy)}"
        return line + remedy if self.remedy else line


def ok(check: str, detail: str) -> Finding:
    """Return the finding of a check that passed."""
    return Finding(check, Outcome.OK, detail)


def warning(check: str, detail: str, remedy: str) -> Finding:
    """Return the finding of a check that passed, but may fail later."""
    return Finding(check, Outcome.WARNING, detail, remedy)


def skipped(check: str, detail: str) -> Finding:
    """Return the finding of a check that does not apply, or cannot run."""
    return Finding(check, Outcome.SKIPPED, detail)


class FailedError(DataArtError):
    """A check failed, and the checks that depend on it cannot run.

    Args:
        check: The name of the check.
        detail: What was observed.
        remedy: What to do about it.

    Attributes:
        finding: The finding of the check.
    """

    def __init__(self, check: str, detail: str, remedy: str) -> None:
        super().__init__(check, detail, remedy)
        self.finding = Finding(check, Outcome.FAILURE, detail, remedy)
