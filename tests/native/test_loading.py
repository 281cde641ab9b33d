"""Which code is in use, and how a user finds out."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dataart_mp
from dataart_mp import native
from tests.native.emitting import needs_c

_SHOW = "import dataart_mp; print(dataart_mp.compiled)"


def run(
    *arguments: str, folder: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run an interpreter in a folder, with further variables in its environment."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )


def test_the_python_code_is_in_use_where_a_variable_says_so() -> None:
    assert run("-c", _SHOW, DATAART_MP_COMPILED="0").stdout == "False\n"


@needs_c
def test_the_compiled_code_is_in_use_by_default() -> None:
    assert run("-c", _SHOW, DATAART_MP_COMPILED="").stdout == "True\n"


@pytest.mark.skipif("DATAART_MP_COMPILED" not in os.environ, reason="no mode was chosen")
def test_the_chosen_mode_is_in_use() -> None:
    assert native.compiled is (os.environ["DATAART_MP_COMPILED"] != "0")


def test_the_command_says_which_code_is_in_use() -> None:
    version = ("-m", "dataart_mp.cli", "version")
    assert "(pure Python, " in run(*version, DATAART_MP_COMPILED="0").stdout
    shown = json.loads(run(*version, "--json").stdout)
    assert shown["compiled"] is native.compiled


@needs_c
def test_a_compiled_module_that_is_older_than_its_source_is_not_used(tmp_path: Path) -> None:
    package = tmp_path / "dataart_mp"
    shutil.copytree(Path(dataart_mp.__file__).parent, package)
    (package / "_hot_path.c").touch()
    (library,) = package.glob(f"_hot_path.{sys.implementation.cache_tag}*.so")
    os.utime(library, (0, 0))
    shown = run("-c", _SHOW, folder=tmp_path)
    assert shown.stdout == "False\n"
    assert "is older than its source" in shown.stderr


@needs_c
def test_a_subinterpreter_uses_the_python_code() -> None:
    code = f"import sys; sys.path[:] = {sys.path!r}; from dataart_mp.native import compiled; "
    inner = code + "assert not compiled"
    outer = (
        code + "assert compiled\n"
        "try: import _interpreters as interpreters\n"
        "except ImportError: import _xxsubinterpreters as interpreters\n"
        "try: number = interpreters.create('legacy')\n"
        "except TypeError: number = interpreters.create(isolated=False)\n"
        f"failure = interpreters.run_string(number, {inner!r})\n"
        "assert failure is None, failure"
    )
    run("-c", outer)


@needs_c
def test_the_module_has_at_most_650_lines() -> None:
    source = Path(dataart_mp.__file__).with_name("_hot_path.c")
    if source.exists():  # it is not part of a wheel
        assert len(source.read_text().splitlines()) <= 650
