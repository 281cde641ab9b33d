"""Find the Python interpreter that workers run in.

`sys.executable` is the program of this process, which may not be a Python interpreter: uWSGI and
mod_wsgi embed Python, and a frozen application contains it together with its own code. If such a
program were started as a worker, it would be a second application, which starts workers itself.
Therefore a program must have the name of a Python interpreter; otherwise, an interpreter of the
same version is looked for where Python is installed. As a second safeguard, a program that was
started by mistake finds `GUARD` in its environment, and starts no workers.

No other Python can import the code inside a frozen application. Its workers run in the interpreter
that the application names, with the packages that are installed there.
"""

import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import spawn
from pathlib import Path
from typing import Final

from dataart_mp.config.environment import without_settings
from dataart_mp.errors import ConfigError, short_repr
from dataart_mp.supervision import import_path
from dataart_mp.version import __version__

GUARD: Final = "_DATAART_MP_WORKER"
"""Environment variable of a process that was started as a worker, until the worker removes it."""

_NAMES: Final = ("python", "pypy", "graalpy")
_FIX: Final = 'name one with multiprocessing.set_executable("/path/to/python")'
_PROBE: Final = "import dataart_mp.worker.main, dataart_mp.version as v; print(v.__version__)"
_PROBE_SECONDS: Final = 60.0
# A worker has no terminal to print to; before it is ready, this output could fill its pipe.
_OPTIONS_THAT_PRINT: Final = ("importtime", "showrefcount")
_ENVIRONMENT_OPTIONS: Final = {"PYTHON_CPU_COUNT": "cpu_count", "PYTHON_GIL": "gil"}
# glibc would give each of the first threads its own heap, which keeps what it has freed. One thread
# of a worker does nearly everything, so one heap is as fast, and takes 2 to 4 MB less.
_ALLOCATOR: Final = {"MALLOC_ARENA_MAX": "1"}
# PyInstaller points these to the libraries inside the application, and keeps the original values.
_LIBRARY_PATHS: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LIBPATH")
_ORIGINAL_SUFFIX: Final = "_ORIG"


def find() -> str:
    """Return the path of a Python interpreter of this version.

    Raises:
        ConfigError: There is none, or this process was itself started as a worker, or it is a
            frozen application and the interpreter that it names lacks this package.
    """
    if GUARD in os.environ:
        raise ConfigError(
            f"{sys.executable or 'this program'} was started as a Python interpreter to run a "
            f"worker of dataart_mp, but is the application itself: {_FIX}"
        )
    for candidate in _candidates():
        if _is_python(candidate):
            if is_frozen():
                _check_packages(candidate)
            return candidate
    raise ConfigError(f"{_this_program()}, and workers need a Python interpreter: {_FIX}")


def is_frozen() -> bool:
    """Whether this process is an application that contains Python and its own code."""
    return bool(getattr(sys, "frozen", False))


def options() -> list[str]:
    """Return the options of a worker's interpreter, with the settings of this one.

    A worker ignores the variables of Python (`-I`), because `PYTHONPATH` or `PYTHONINSPECT` would
    affect what runs in it. So settings that were made with variables become options here. Warnings
    are left out: a worker has nowhere to show one, and with `-W error` it would end.
    """
    if is_frozen():  # its settings were chosen for the interpreter inside
        return ["-I"]
    flags = sys.flags
    chosen = ["-I"]
    chosen += ["-B"] * sys.dont_write_bytecode
    chosen += ["-S"] * flags.no_site
    chosen += ["-" + "O" * flags.optimize] * bool(flags.optimize)
    for name, value in _x_options().items():
        chosen += ["-X", name if value is True else f"{name}={value}"]
    return chosen


def environment() -> dict[str, str]:
    """Return the environment of a worker's interpreter, without settings of this package.

    The C library gets a setting that saves memory, unless the application has made it.
    """
    kept = without_settings(os.environ)
    if is_frozen():
        for name in _LIBRARY_PATHS:
            original = kept.get(name + _ORIGINAL_SUFFIX)
            kept.pop(name, None)
            if original is not None:
                kept[name] = original
    return {**_ALLOCATOR, **kept, GUARD: "1"}


def _x_options() -> dict[str, object]:
    """Return the `-X` options of this interpreter, also those that were set in other ways."""
    chosen: dict[str, object] = {}
    if not sys.flags.ignore_environment:
        variables = _ENVIRONMENT_OPTIONS.items()
        chosen |= {name: os.environ[each] for each, name in variables if os.environ.get(each)}
    chosen |= {k: v for k, v in sys._xoptions.items() if k not in _OPTIONS_THAT_PRINT}
    if sys.flags.dev_mode:
        chosen["dev"] = True
    chosen["utf8"] = sys.flags.utf8_mode
    chosen["int_max_str_digits"] = sys.get_int_max_str_digits()
    chosen.pop("pycache_prefix", None)
    if sys.pycache_prefix is not None:
        chosen["pycache_prefix"] = import_path.from_first_directory(sys.pycache_prefix)
    return chosen


@functools.cache
def _check_packages(python: str) -> None:
    """Check that an interpreter can run workers with the packages that are installed there."""
    command = [python, "-I", "-c", _PROBE]
    try:
        probe = subprocess.run(  # noqa: S603 - the application has named this program
            command,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        answer = f"it does not answer within {_PROBE_SECONDS:.0f} seconds"
    else:
        lines = (probe.stdout + probe.stderr).decode(errors="replace").splitlines()
        answer = lines[-1] if lines else "it ends without a message"
    if answer != __version__:
        raise ConfigError(
            f"{python} cannot run the workers of this frozen application, which contains "
            f"dataart_mp {__version__}: {short_repr(answer)}; install dataart_mp=={__version__} in "
            "that interpreter"
        )


def _candidates() -> Iterator[str]:
    """Yield possible interpreters: the one that the application has named comes first."""
    named = os.fsdecode(spawn.get_executable() or "")  # set by multiprocessing.set_executable
    if named != sys.executable:
        yield named
    if is_frozen():
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
    if is_frozen():
        return f"{sys.executable} is a frozen application"
    program = sys.executable or "this program"
    return f"{program} is not a Python interpreter, and there is none in {sys.prefix}"
