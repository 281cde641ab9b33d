"""Survivors: mutants that no test notices, and why no test can or should."""

import tomllib
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).with_name("survivors.toml")


@dataclass(frozen=True, order=True)
class Survivor:
    """A mutant that survived. Its place is text, so that it outlives changes elsewhere in the file.

    Attributes:
        module: The module, as a path in the package without its suffix.
        function: The function or class that it is in; empty for the module itself.
        before: The line as it is, without indentation.
        after: The line as it was changed.
    """

    module: str
    function: str
    before: str
    after: str

    @classmethod
    def of(cls, module: str, function: str | None, diff: str) -> "Survivor":
        """Return a survivor, given the change as a unified diff."""
        lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
        before = [line[1:].strip() for line in lines if line.startswith("-")]
        after = [line[1:].strip() for line in lines if line.startswith("+")]
        return cls(module, function or "", " ".join(before).strip(), " ".join(after).strip())

    def as_toml(self) -> str:
        """Return an entry of the file of survivors, without the reason."""
        names = "module", "function", "before", "after"
        lines = [
            f"{name} = {_quoted(value)}" for name, value in zip(names, astuple(self), strict=True)
        ]
        return "\n".join(["[[survivor]]", *lines, 'reason = ""'])


def _quoted(text: str) -> str:
    return f"'{text}'" if "'" not in text else f"'''{text}'''"


def known(file: Path = FILE) -> set[Survivor]:
    """Return the survivors that the file lists.

    Raises:
        ValueError: One has no reason.
    """
    entries = tomllib.loads(file.read_text()).get("survivor", [])
    for entry in entries:
        if not entry.pop("reason", ""):
            raise ValueError(f"{file}: no reason why this survives: {entry}")
    return {Survivor(**entry) for entry in entries}


@dataclass(frozen=True)
class Comparison:
    """The survivors of a run, compared with those that are listed.

    Attributes:
        new: Those that are not listed.
        gone: Those that are listed and were killed, or are not mutants any more.
    """

    new: list[Survivor]
    gone: list[Survivor]


def compare(found: Iterable[Survivor], listed: Iterable[Survivor]) -> Comparison:
    """Compare the survivors of a run with those that are listed for the same modules."""
    found, listed = set(found), set(listed)
    return Comparison(new=sorted(found - listed), gone=sorted(listed - found))
