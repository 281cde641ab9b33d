"""Find the Python interpreter that workers run in.

`sys.executable` is the program of this process, which may not be a Python interpreter: uWSGI and
mod_wsgi embed Python, and a frozen application contains it together with its own code. If such a
program were started as a worker, it would be a second application, which starts workers itself.
Therefore a program must have the name of a Python interpreter; otherwise, an interpreter of the
same version is looked for where Python is installed. As a second safeguard, a program that was
started by mistake finds `GUARD` in its environment, and starts no workers.
"""

import os
import sys
from collections.abc import Iterator
from multiprocessing import spawn
from pathlib import Path
from typing import Final

from dataart_mp.errors import ConfigError

GUARD: Final = "_DATAART_MP_WORKER"
"""Environment variable of a process that was started as a worker, until the worker removes it."""

_NAMES: Final = ("python", "pypy", "graalpy")
_FIX: Final = 'name one with multiprocessing.set_executable("/path/to/python")'


def find() -> str:
    """Return the path of a Python interpreter of this version.

    Raises:
        ConfigError: There is none, or this process was itself started as a worker.
    """
    if GUARD in os.environ:
        raise ConfigError(
            f"{sys.executable or 'this program'} was started as a Python interpreter to run a "
            f"worker of dataart_mp, but is the application itself: {_FIX}"
        )
    for candidate in _candidates():
        if _is_python(candidate):
            return candidate
    raise ConfigError(f"{_this_program()}, and workers need a Python interpreter: {_FIX}")


def _candidates() -> Iterator[str]:
    """Yield possible interpreters: the one that the application has named comes first."""
    named = os.fsdecode(spawn.get_executable() or "")  # set by multiprocessing.set_executable
    if named != sys.executable:
        yield named
    if getattr(sys, "frozen", False):
        return  # another Python cannot import the code inside a frozen application
    yield sys.executable or ""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}{sys.abiflags}"
    for prefix in (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix):
        yield str(Path(prefix, "bin", name))
    yield getattr(sys, "_base_executable", None) or ""


def _is_python(path: str) -> bool:
    name = Path(path).name.lower()
    return name.startswith(_NAMES) and Path(path).is_file() and os.access(path, os.X_OK)


def _this_program() -> str:
    if getattr(sys, "frozen", False):
        return f"{sys.executable} is a frozen application"
    program = sys.executable or "this program"
    return f"{program} is not a Python interpreter, and there is none in {sys.prefix}"
