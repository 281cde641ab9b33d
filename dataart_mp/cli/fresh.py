"""A function in an interpreter of its own, so that no run inherits the warmth of another."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from dataart_mp.errors import DataArtError

T = TypeVar("T")

# The result is the last line: what is measured may print something, too.
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
    """Call a function of some module in a fresh interpreter, and return what it returns.

    Args:
        function: Stands in a module by its name; what it returns can be written as JSON.
        python: The interpreter.
        path: Where it imports from besides its own places; None: wherever this process does.
        **arguments: Can be written as JSON; they go through a pipe, so they may be secret.

    Raises:
        DataArtError: It failed; with the last that it said.
    """
    entries = [entry or str(Path.cwd()) for entry in (sys.path if path is None else path)]
    done = subprocess.run(  # noqa: S603 - an interpreter that the caller names, our own function
        [python, "-c", _BOOTSTRAP, function.__module__, function.__qualname__],
        input=json.dumps(arguments),
        capture_output=True,
        text=True,
        check=False,
        env={**_environment(), "PYTHONPATH": os.pathsep.join(entries)},
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise DataArtError(f"a measured process ended with {done.returncode}: {said[-1]}")
    result: T = json.loads(done.stdout.splitlines()[-1])
    return result


def _environment() -> dict[str, str]:
    """Ours, without what would configure a client, its key among that."""
    return {name: text for name, text in os.environ.items() if not name.startswith("DATAART_")}
