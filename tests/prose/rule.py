"""Rules: the words and phrases that the vocabulary replaces."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Self

from .text import Kind, Text

_KEYS: Final = {"words", "pattern", "example", "write", "in", "allow", "only", "except"}


@dataclass(frozen=True)
class Rule:
    """Words or a phrase to avoid, and what to write instead.

    Attributes:
        name: The first word, or the example of a pattern.
        words: The words in lower case; none if the rule has a pattern instead.
        pattern: What finds the words or the phrase.
        write: What to write instead.
        examples: Texts that break the rule.
        kinds: The kinds of text to which the rule applies.
        allowed: Legitimate uses.
        only: Globs of the files to which the rule applies; all files if empty.
        exempt: Globs of the files to which the rule does not apply.
    """

    name: str
    words: frozenset[str]
    pattern: re.Pattern[str]
    write: str
    examples: tuple[str, ...]
    kinds: tuple[Kind, ...]
    allowed: tuple[re.Pattern[str], ...]
    only: tuple[str, ...]
    exempt: tuple[str, ...]

    @classmethod
    def from_table(cls, table: dict[str, Any]) -> Self:
        """Make a rule from a table of the vocabulary.

        Raises:
            ValueError: The table has a key that no rule has.
        """
        if unknown := table.keys() - _KEYS:
            raise ValueError(f"{table}: unknown keys: {', '.join(sorted(unknown))}")
        words = table.get("words", [])
        examples = tuple(words or [table["example"]])
        pattern = rf"\b(?:{'|'.join(words)})\b" if words else table["pattern"]
        return cls(
            name=examples[0],
            words=frozenset(words),
            pattern=re.compile(pattern, re.IGNORECASE | re.MULTILINE),
            write=table["write"],
            examples=examples,
            kinds=(table["in"],) if "in" in table else ("code", "prose"),
            allowed=tuple(re.compile(use, re.IGNORECASE) for use in table.get("allow", ())),
            only=tuple(table.get("only", ())),
            exempt=tuple(table.get("except", ())),
        )

    def applies_to(self, path: Path) -> bool:
        """Whether the rule applies to a file, named by its path from the project's root."""
        return not is_among(path, self.exempt) and (not self.only or is_among(path, self.only))

    def breaches(self, text: Text) -> Iterator[re.Match[str]]:
        """Find where a text breaks the rule."""
        if text.kind in self.kinds and not (self.words and self.words.isdisjoint(text.words)):
            for match in self.pattern.finditer(text.content):
                if not self._is_allowed(text.content, match):
                    yield match

    def _is_allowed(self, content: str, found: re.Match[str]) -> bool:
        """Whether one of the legitimate uses, on the same line, contains the match."""
        start = content.rfind("\n", 0, found.start()) + 1
        end = content.find("\n", found.end())
        return any(
            use.start() <= found.start() and found.end() <= use.end()
            for pattern in self.allowed
            for use in pattern.finditer(content, start, end)
        )


def is_among(path: Path, globs: Iterable[str]) -> bool:
    """Whether one of the globs matches a path; an asterisk matches slashes too."""
    return any(fnmatchcase(path.as_posix(), glob) for glob in globs)
