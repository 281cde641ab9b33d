"""The interpreter that workers are started with.

`sys.executable` is the program that this process runs, and need not be a Python: uWSGI and mod_wsgi
embed one, a frozen application is one with its own code sealed in. Such a program, started as a
worker, would be one more application, that starts workers in its turn. So a program is taken for a
Python by its name, others of the same version are looked for where Python says it is installed, and
a program that was mistaken for one finds `GUARD` in its environment, and starts nothing.
"""

import os
import sys
from collections.abc import Iterator
from multiprocessing import spawn
from pathlib import Path
from typing import Final

from dataart_mp.errors import ConfigError

GUARD: Final = "_DATAART_MP_WORKER"
"""Stands in the environment of a process from its start until it turns out to be a worker."""

_NAMES: Final = ("python", "pypy", "graalpy")
_REMEDY: Final = 'name one with multiprocessing.set_executable("/path/to/python")'


def find() -> str:
    """The path of a Python interpreter of this version, for workers to run in.

    Raises:
        ConfigError: There is none, or this process was itself started to be a worker.
    """
    if GUARD in os.environ:
        raise ConfigError(
            f"{sys.executable or 'this program'} was started as a Python interpreter, for a worker "
            f"of dataart_mp to run in, and is the application itself: {_REMEDY}"
        )
    for candidate in _candidates():
        if _is_python(candidate):
            return candidate
    raise ConfigError(f"{_what_this_is()}, and workers need a Python interpreter: {_REMEDY}")


def _candidates() -> Iterator[str]:
    """Where an interpreter may be: what the application says first, then what Python says."""
    named = os.fsdecode(spawn.get_executable() or "")  # multiprocessing.set_executable's
    if named != sys.executable:
        yield named
    if getattr(sys, "frozen", False):
        return  # any other Python could not import what is sealed in
    yield sys.executable or ""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}{sys.abiflags}"
    for prefix in (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix):
        yield str(Path(prefix, "bin", name))
    yield getattr(sys, "_base_executable", None) or ""


def _is_python(path: str) -> bool:
    name = Path(path).name.lower()
    return name.startswith(_NAMES) and Path(path).is_file() and os.access(path, os.X_OK)


def _what_this_is() -> str:
    if getattr(sys, "frozen", False):
        return f"{sys.executable} is a frozen application"
    program = sys.executable or "this program"
    return f"{program} is no Python interpreter, and none is in {sys.prefix}"
