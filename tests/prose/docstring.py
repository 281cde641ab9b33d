"""The style of docstrings: each entry of Args, Returns and so on is a sentence."""

import ast
import re
from collections.abc import Iterator
from itertools import takewhile
from typing import Final

Line = tuple[int, str]

_SECTION: Final = re.compile(r"\s*(Args|Attributes|Raises|Returns|Yields):")
_WITHOUT_NAMES: Final = {"Returns", "Yields"}  # one entry, not one for each name
_NAME: Final = re.compile(r"\s*[\w.*, ]+(?:\([^)]*\))?:\s+")
_SENTENCE_END: Final = re.compile(r"[.!?][\"'`)\]]*$")


def misstyled_entries(source: str) -> Iterator[Line]:
    """Find the entries that do not begin with a capital letter or do not end with a full stop.

    Args:
        source: The text of a Python file.

    Yields:
        The number of the line on which the entry begins or ends, and what is wrong with it.
    """
    for docstring in _docstrings(source):
        for entry in _entries(docstring):
            (first, beginning), (last, ending) = entry[0], entry[-1]
            if beginning.lstrip()[:1].islower():
                yield first, f"begin the entry with a capital letter: {_excerpt(beginning)}"
            if not _SENTENCE_END.search(ending):
                yield last, f"end the entry with a full stop: {_excerpt(ending)}"


def _docstrings(source: str) -> Iterator[list[Line]]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                match node.body:
                    case [ast.Expr(value=ast.Constant(value=str(text), lineno=first)), *_]:
                        yield list(enumerate(text.splitlines(), first))


def _entries(docstring: list[Line]) -> Iterator[list[Line]]:
    """The lines of each entry, without the name that it begins with."""
    for index, (_, line) in enumerate(docstring):
        if header := _SECTION.fullmatch(line):
            lines = _section(docstring[index + 1 :], _indentation(line))
            if header[1] not in _WITHOUT_NAMES:
                yield from _named_entries(lines)
            elif lines:
                yield lines


def _section(lines: list[Line], indentation: int) -> list[Line]:
    """The lines that are indented more than the section's header, without blank ones."""
    section = takewhile(
        lambda line: not line[1].strip() or _indentation(line[1]) > indentation, lines
    )
    return [(number, text.rstrip()) for number, text in section if text.strip()]


def _named_entries(lines: list[Line]) -> Iterator[list[Line]]:
    outermost = min((_indentation(text) for _, text in lines), default=0)
    entry: list[Line] = []
    for number, text in lines:
        if _indentation(text) > outermost:
            entry.append((number, text))
            continue
        if entry:
            yield entry
        name = _NAME.match(text)
        entry = [(number, text[name.end() :])] if name else []
    if entry:
        yield entry


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _excerpt(line: str) -> str:
    text = line.strip()
    return repr(text if len(text) <= 40 else text[:39] + "…")
