"""Text and JSON for the user: the only module that writes to standard output and standard error.

What a command shows comes in part from files, their names, responses and the environment. None of
it reaches the terminal as a control character: that could move the cursor, forge a line, change
the title of the window, or show text in another order than it has.
"""

import json
import os
import re
import shlex
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from dataart_mp.cli.standard_streams import discard

PROGRAM: Final = "dataart-mp"

# Letters and marks that are invisible although `str.isprintable` is true for them.
_INVISIBLE: Final = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0"
_FIND_INVISIBLE: Final = re.compile(f"[{_INVISIBLE}]")
_SHORT_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    r"""Return a text on one line in which all invisible characters but the space are escaped.

    These are the control characters (C0, C1 and DEL), line ends, marks of direction, zero-width
    characters, and whatever Unicode does not define: `\x1b`, `\n`, `\u202e`.
    """
    if text.isprintable() and not _FIND_INVISIBLE.search(text):
        return text
    return "".join(map(_printable, text))


def command_line(words: Sequence[str]) -> str:
    """Return words as a shell reads them; words with invisible characters are quoted as `$'…'`."""
    return " ".join(_quoted(word) for word in words)


def show(result: object) -> None:
    """Write a result to standard output.

    Args:
        result: Its `str` may have several lines; text from outside must not add lines to them.
    """
    _write("\n".join(map(printable, str(result).split("\n"))))


def show_marked(text: str, colour: str) -> None:
    """Write lines to standard output, the first character of which is coloured on a terminal."""
    first, *rest = map(printable, text.split("\n"))
    _write("\n".join([click.style(first[:1], fg=colour) + first[1:], *rest]))


def show_json(value: Any) -> None:
    """Write a value to standard output as one line of JSON, in ASCII."""
    _write(json.dumps(value).replace("\x7f", "\\u007f"))


def show_script(script: str) -> None:
    """Write a program to standard output, unchanged."""
    _write(script)


def report(text: str) -> None:
    """Write a line to standard error, above the progress bar if there is one.

    If nobody can read it any more, it is lost: the work is more important.
    """
    try:
        # Passed as a file: the progress bar replaces sys.stderr, and click's `err=True` bypasses
        # that.
        click.echo(printable(text), file=sys.stderr)
    except OSError:
        discard(sys.stderr)


def warn(text: str) -> None:
    """Write a line to standard error, prefixed with the name of the program."""
    report(f"{PROGRAM}: {text}")


def _write(text: str) -> None:
    # Passed as a file: click replaces an ASCII stream by one in another encoding.
    click.echo(text, file=sys.stdout)


def _printable(character: str) -> str:
    if character.isprintable() and not _FIND_INVISIBLE.match(character):
        return character
    number = ord(character)
    short = _SHORT_ESCAPES.get(character)
    if short is not None:
        return short
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _quoted(word: str) -> str:
    if printable(word) == word:
        return shlex.quote(word)
    return "$'" + "".join(map(_quoted_byte, os.fsencode(word))) + "'"


def _quoted_byte(byte: int) -> str:
    character = chr(byte)
    if character in "\\'":
        return f"\\{character}"
    return character if 0x20 <= byte < 0x7F else f"\\x{byte:02x}"
