"""Files that only their user may read, written where somebody else may have put a symbolic link.

A file is never opened through a symbolic link, which could lead to any other file of the user: a
new file is written under a random name and renamed. That replaces a link, and is atomic: whoever
opens the file finds the old content or the new one.
"""

import errno
import os
import re
import stat
import tempfile
from pathlib import Path
from typing import IO, Final

from dataart_mp.spool.permissions import PRIVATE_FILE

_DESCRIPTOR: Final = re.compile(r"/dev/(stdout|stderr)|/(?:dev|proc/self)/fd/([0-9]+)")
_NUMBERS: Final = {"stdout": 1, "stderr": 2}
_NO_LINK: Final = os.O_NOFOLLOW | os.O_CLOEXEC


def write_private(path: Path, content: bytes) -> None:
    """Replace a file atomically; a crash, also of the machine, leaves the old or the new content.

    Raises:
        OSError: The file cannot be written.
    """
    descriptor, name = _create_beside(path)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def open_for_lines(path: Path, *, append: bool) -> IO[str]:
    """Open a file to which lines are written; each is written at once.

    A device, a pipe or a descriptor (`/dev/stderr`, `/dev/fd/3`) is opened as it is.

    Args:
        path: The file.
        append: Whether existing content is kept; otherwise the file is replaced by an empty one.

    Raises:
        OSError: The file cannot be written, or is a symbolic link to a file.
    """
    inherited = _DESCRIPTOR.fullmatch(str(path))
    if inherited:
        # Not opened again: what this process writes to it otherwise would overwrite the lines.
        name, number = inherited.groups()
        descriptor = os.dup(int(number) if number else _NUMBERS[name])
    elif _is_stream(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_CLOEXEC)
    elif append:
        descriptor = _append_to(path)
    else:
        descriptor = _replace(path)
    return os.fdopen(descriptor, "w", buffering=1, encoding="utf-8")


def _append_to(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_LINK, PRIVATE_FILE)
    except OSError as error:
        if error.errno == errno.ELOOP:
            problem = "is a symbolic link; name the file that it leads to"
            raise OSError(error.errno, problem, str(path)) from None
        raise


def _replace(path: Path) -> int:
    descriptor, name = _create_beside(path)
    try:
        Path(name).replace(path)
    except BaseException:
        os.close(descriptor)
        Path(name).unlink(missing_ok=True)
        raise
    return descriptor


def _create_beside(path: Path) -> tuple[int, str]:
    """Create a file with a random name in the same directory; only its user may read it."""
    return tempfile.mkstemp(prefix=f".{path.name[:64]}.", suffix=".new", dir=path.parent)


def _is_stream(path: Path) -> bool:
    """Return whether a path leads to a device or a pipe, which has no content to overwrite."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False
