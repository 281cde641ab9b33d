"""Runs a function in a new interpreter, so that no run profits from the caches of another."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from dataart_mp.config.environment import without_settings
from dataart_mp.errors import DataArtError

T = TypeVar("T")

# The result is the last line of the output: the function may print, too.
_BOOTSTRAP: Final = """
import importlib, json, sys
function = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])
result = function(**json.load(sys.stdin))
print()
print(json.dumps(result))
"""


def fresh(
    function: Callable[..., T],
    *,
    python: str = sys.executable,
    path: Sequence[str] | None = None,
    **arguments: Any,
) -> T:
    """Call a function in a new interpreter.

    Args:
        function: A function at the top level of a module; its result must be valid JSON.
        python: The interpreter.
        path: Directories to import from; None: those of this process.
        **arguments: The arguments of the function, which must be valid JSON. They are sent through
            a pipe, so they may contain secrets.

    Returns:
        The result of the function.

    Raises:
        DataArtError: The process failed; the message contains the last line of its error output.
    """
    entries = [entry or str(Path.cwd()) for entry in (sys.path if path is None else path)]
    done = subprocess.run(  # noqa: S603 - the interpreter is the caller's, the function is ours
        [python, "-c", _BOOTSTRAP, function.__module__, function.__qualname__],
        input=json.dumps(arguments),
        capture_output=True,
        text=True,
        check=False,
        env={**without_settings(os.environ), "PYTHONPATH": os.pathsep.join(entries)},
    )
    if done.returncode:
        errors = done.stderr.strip().splitlines() or ["no error output"]
        raise DataArtError(f"a measured process ended with {done.returncode}: {errors[-1]}")
    result: T = json.loads(done.stdout.splitlines()[-1])
    return result
