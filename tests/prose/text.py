"""Texts: the code of a file and its prose, separated, in a form that a pattern can search."""

import io
import re
import tokenize
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Final, Literal, Self

Kind = Literal["code", "prose"]
Span = tuple[int, int]

_WORD_BOUNDARY: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_+")
_WORD: Final = re.compile(r"\w+")
_LINE_DECORATION: Final = re.compile(r"^[\s#>*/|]+|\s+$")
_ONE_LINE_END: Final = re.compile(r"[ \t]*\n?[ \t]*")

_PROSE_TOKENS: Final = {tokenize.COMMENT, tokenize.STRING} | {
    getattr(tokenize, name)
    for name in ("FSTRING_MIDDLE", "TSTRING_MIDDLE")  # from Python 3.12 and 3.14 on
    if hasattr(tokenize, name)
}

# What is prose in other languages than Python, by the suffix of the file.
_QUOTED: Final = r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
_HASH_COMMENTS: Final = re.compile(r"(?<!\S)#[^\n]*|" + _QUOTED)
_PROSE: Final = {
    ".js": re.compile(r"(?<!:)//[^\n]*|/\*.*?\*/|`(?:\\.|[^`\\])*`|" + _QUOTED, re.DOTALL),
    ".css": re.compile(r"/\*.*?\*/", re.DOTALL),
    ".html": re.compile(r".+", re.DOTALL),
    ".txt": re.compile(r".+", re.DOTALL),
}
_MARKDOWN_CODE: Final = re.compile(r"^```.*?^```|`[^`\n]+`", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Text:
    """All code of a file, or all its prose.

    Attributes:
        kind: Whether it is code or prose.
        content: The lines, without indentation and comment signs. Identifiers are split into
            words. Lines of one comment, string or paragraph are joined by spaces, so that a phrase
            is found across them; other lines end with a newline.
        starts: The offset in the content at which each line begins.
        numbers: The number of each line in the file.
    """

    kind: Kind
    content: str
    starts: tuple[int, ...]
    numbers: tuple[int, ...]

    @classmethod
    def from_blocks(cls, kind: Kind, blocks: Iterable[tuple[int, str]]) -> Self:
        """Make a text from blocks of lines and the number of each block's first line."""
        lines, numbers = [], []
        for first, block in blocks:
            for number, line in enumerate(block.split("\n"), first):
                plain = _LINE_DECORATION.sub("", line)
                if plain:
                    lines.append(_WORD_BOUNDARY.sub(" ", plain) + " ")
                    numbers.append(number)
                elif lines:
                    lines[-1] = lines[-1][:-1] + "\n"
            if lines:
                lines[-1] = lines[-1][:-1] + "\n"
        starts = accumulate((len(line) for line in lines[:-1]), initial=0)
        return cls(kind, "".join(lines), tuple(starts), tuple(numbers))

    @cached_property
    def words(self) -> frozenset[str]:
        """All words of the content, in lower case."""
        return frozenset(_WORD.findall(self.content.lower()))

    def line_at(self, offset: int) -> int:
        """Return the number of the line in the file that holds an offset of the content."""
        return self.numbers[bisect_right(self.starts, offset) - 1]


def texts(root: Path, path: Path) -> Iterator[Text]:
    """Split a file into its code and its prose. Its path from the root is code, on line 1."""
    content = (root / path).read_text()
    prose = _prose_spans(path.suffix, content)
    code = list(content)
    for start, end in prose:
        code[start:end] = [char if char == "\n" else " " for char in content[start:end]]
    lines = enumerate("".join(code).split("\n"), 1)
    yield Text.from_blocks("code", [(1, path.as_posix()), *lines])
    yield Text.from_blocks(
        "prose", ((content.count("\n", 0, start) + 1, content[start:end]) for start, end in prose)
    )


def _prose_spans(suffix: str, content: str) -> list[Span]:
    if suffix == ".py":
        return _joined(content, _python_prose(content))
    if suffix == ".md":
        return _gaps(content, [match.span() for match in _MARKDOWN_CODE.finditer(content)])
    pattern = _PROSE.get(suffix, _HASH_COMMENTS)
    return _joined(content, [match.span() for match in pattern.finditer(content)])


def _python_prose(content: str) -> Iterator[Span]:
    """The comments, the strings and the names of tests, which read as sentences."""
    starts = [0, *accumulate(len(line) for line in content.splitlines(keepends=True))]
    for token in tokenize.generate_tokens(io.StringIO(content).readline):
        if token.type in _PROSE_TOKENS or token.string.startswith("test_"):
            (first, start), (last, end) = token.start, token.end
            yield starts[first - 1] + start, starts[last - 1] + end


def _joined(content: str, spans: Iterable[Span]) -> list[Span]:
    """Join what only a line end separates: lines of a comment, and strings side by side."""
    joined: list[Span] = []
    for start, end in spans:
        if joined and _ONE_LINE_END.fullmatch(content, joined[-1][1], start):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _gaps(content: str, spans: Iterable[Span]) -> list[Span]:
    """What lies between these spans."""
    edges = [0, *(edge for span in spans for edge in span), len(content)]
    return list(zip(edges[::2], edges[1::2], strict=True))
