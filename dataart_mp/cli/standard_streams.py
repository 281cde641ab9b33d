"""Standard streams that take any text, whether or not the parent of this process closed them."""

import contextlib
import io
import os
import sys
from typing import IO, Final

_STDIN: Final = 0
_OUTPUTS: Final = {"stdout": 1, "stderr": 2}


def prepare_streams() -> None:
    r"""Make standard output and standard error usable; call it before anything is opened.

    A closed stream (`>&-`, as in some services) is replaced by /dev/null: else the next file that
    is opened would become standard output. `sys.stdin` stays None if standard input is closed.

    Text that the encoding of a stream cannot express is written as `\u2026`, instead of raising.
    """
    if sys.stdin is None:
        _open_null(_STDIN)
    for name, descriptor in _OUTPUTS.items():
        if getattr(sys, name) is None:
            _open_null(descriptor)
            null = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - until the end
            setattr(sys, name, null)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def discard(stream: IO[str]) -> None:
    """Redirect a stream to /dev/null after a failed write: else the exit fails on flushing it."""
    with contextlib.suppress(OSError, ValueError):  # no descriptor is free, or it has none
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _open_null(descriptor: int) -> None:
    """Open /dev/null as a closed descriptor, for this process and those that it starts."""
    try:
        os.fstat(descriptor)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null != descriptor:
            os.dup2(null, descriptor)
            os.close(null)
        os.set_inheritable(descriptor, True)
