"""The import path of workers: `sys.path` of this process, as absolute paths.

An application may start with relative entries, such as `vendor`, and change its directory later. A
relative entry therefore counts from the directory in which this package was imported, and then from
the present one.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final


def _current_directory() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - Path.cwd() does the same in more steps
    except OSError:
        return None


_FIRST_DIRECTORY: Final = _current_directory()


def absolute() -> list[str]:
    """Return the entries of `sys.path` as absolute paths, in their order.

    A relative entry is left out if both directories that it may count from were removed.
    """
    return list(dict.fromkeys(_entries()))


def from_first_directory(path: str) -> str:
    """Return a path that counts from the directory in which this package was imported."""
    return path if _FIRST_DIRECTORY is None else str(Path(_FIRST_DIRECTORY, path))


def _entries() -> Iterator[str]:
    directories = [_FIRST_DIRECTORY, _current_directory()]
    for entry in sys.path:
        if Path(entry).is_absolute():
            yield entry
        else:
            yield from (str(Path(each, entry)) for each in directories if each is not None)
