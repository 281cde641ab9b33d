"""The vocabulary: the rules of vocabulary.toml, and the files to which they apply."""

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from .rule import Rule, is_among

DEFAULT: Final = Path(__file__).with_name("vocabulary.toml")


@dataclass(frozen=True)
class Vocabulary:
    """Rules, and which files they are for.

    Attributes:
        rules: The rules, in the order of the file.
        include: Globs of files and directories, from the project's root.
        exempt: Globs of files to leave out.
    """

    rules: tuple[Rule, ...]
    include: tuple[str, ...]
    exempt: tuple[str, ...]

    @classmethod
    def load(cls, path: Path = DEFAULT) -> Self:
        """Read a vocabulary from a TOML file."""
        table = tomllib.loads(path.read_text())
        return cls(
            rules=tuple(Rule.from_table(rule) for rule in table["avoid"]),
            include=tuple(table["files"]["include"]),
            exempt=tuple(table["files"]["except"]),
        )

    def files(self, root: Path, starts: Iterable[Path] = ()) -> Iterator[Path]:
        """Find the text files to check.

        Args:
            root: The project's directory.
            starts: Files and directories to check instead of all that the vocabulary includes.

        Yields:
            The path of each file, from the root.
        """
        included = (path for glob in self.include for path in sorted(root.glob(glob)))
        for start in [*starts] or included:
            for path in sorted(start.rglob("*")) if start.is_dir() else [start]:
                name = path.relative_to(root)
                if path.is_file() and not is_among(name, self.exempt) and _is_text(path):
                    yield name


def _is_text(path: Path) -> bool:
    """Whether a file has no NUL byte at its start, by which git tells text from binary too."""
    with path.open("rb") as file:
        return b"\0" not in file.read(8000)
