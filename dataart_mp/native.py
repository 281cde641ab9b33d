"""The hot path in C: the module `_hot_path`, if it is compiled and in use.

It makes the usual calls of `emit_action` and `emit_actions`. The Python code makes all other calls,
and without it all calls, with the same results. It is not in use if

- the environment variable `DATAART_MP_COMPILED` is 0;
- it was not compiled: there was no compiler, or the interpreter has no GIL;
- it is older than its source, which only a development installation has;
- this is a subinterpreter.
"""

import functools
import importlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

__all__ = ["VARIABLE", "compiled", "emit_action", "hot_path"]

VARIABLE: Final = "DATAART_MP_COMPILED"
"""The environment variable that chooses the Python code, if it is 0; no setting of a client."""

Method = TypeVar("Method", bound=Callable[..., bool])


def _load() -> ModuleType | None:
    if os.environ.get(VARIABLE) == "0":
        return None
    try:
        module = importlib.import_module("dataart_mp._hot_path")
    except ImportError:
        return None
    library = Path(str(module.__file__))
    source = library.with_name("_hot_path.c")
    if source.exists() and source.stat().st_mtime > library.stat().st_mtime:
        warnings.warn(
            f"{library} is older than its source, and is not used; run: pip install -e .",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return module


if TYPE_CHECKING:
    import dataart_mp._hot_path as hot_path
else:
    hot_path = _load()

compiled: Final = bool(hot_path)
"""Whether the hot path in C is in use; if not, `hot_path` is None."""


def emit_action(method: Method) -> Method:
    """Decorate `Client.emit_action`: C makes the call if it can, or else calls the method."""
    if not compiled:
        return method
    callable_in_c: Any = hot_path.EmitAction(method)
    return cast("Method", functools.update_wrapper(callable_in_c, method))
