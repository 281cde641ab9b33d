"""A worker runs in a Python interpreter of the application's version, whatever embeds Python."""

import multiprocessing
import os
import subprocess
import sys
from multiprocessing import spawn
from pathlib import Path

import pytest

from dataart_mp import Client, ClientConfig, ConfigError
from dataart_mp.supervision import import_path, interpreter
from dataart_mp.version import __version__
from tests.support import open_descriptors

FIX = r"multiprocessing\.set_executable\(\"/path/to/python\"\)"


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the executable of multiprocessing, which is a global variable of its module."""
    monkeypatch.setattr(spawn, "_python_exe", os.fsencode(sys.executable))
    monkeypatch.delenv(interpreter.GUARD, raising=False)


def program(path: Path, text: str = "") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


def embed(monkeypatch: pytest.MonkeyPatch, executable: str | None, prefix: Path) -> None:
    """Let this process look like a program that embeds Python."""
    monkeypatch.setattr(sys, "executable", executable)
    monkeypatch.setattr(sys, "_base_executable", executable, raising=False)
    for name in ("prefix", "exec_prefix", "base_prefix", "base_exec_prefix"):
        monkeypatch.setattr(sys, name, str(prefix))
    spawn.set_executable(executable)  # type: ignore[arg-type]


def test_the_interpreter_of_this_process_is_used() -> None:
    assert interpreter.find() == sys.executable


@pytest.mark.parametrize("name", ["python", "python3.11", "Python", "pypy3", "graalpy"])
def test_a_python_may_have_various_names(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    embed(monkeypatch, program(tmp_path / name), tmp_path)
    assert interpreter.find() == str(tmp_path / name)


@pytest.mark.parametrize("executable", ["uwsgi", "httpd", None, ""])
def test_a_program_that_embeds_python_uses_the_python_it_belongs_to(
    executable: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in uWSGI and mod_wsgi. The name contains the version, so no other version is used."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}{sys.abiflags}"
    python = program(tmp_path / "venv" / "bin" / name)
    program(tmp_path / "venv" / "bin" / "python2.7")
    if executable:
        executable = program(tmp_path / executable)
    embed(monkeypatch, executable, tmp_path / "venv")
    assert interpreter.find() == python


def test_the_real_python_of_this_test_is_found_without_sys_executable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/sbin/httpd")
    text = "import sys; print(sys.version, end='')"
    found = subprocess.run([interpreter.find(), "-c", text], capture_output=True, check=True)
    assert found.stdout.decode() == sys.version


def test_the_base_executable_is_the_last_resort(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    embed(monkeypatch, "/usr/sbin/httpd", tmp_path / "nothing")
    monkeypatch.setattr(sys, "_base_executable", program(tmp_path / "python3"), raising=False)
    assert interpreter.find() == str(tmp_path / "python3")


def test_the_executable_of_multiprocessing_comes_first(tmp_path: Path) -> None:
    python = program(tmp_path / "python")
    multiprocessing.set_executable(python)
    assert interpreter.find() == python


def test_a_file_that_does_not_exist_or_is_not_executable_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    multiprocessing.set_executable(str(tmp_path / "python-that-is-gone"))
    assert interpreter.find() == sys.executable
    Path(program(tmp_path / "python")).chmod(0o600)
    multiprocessing.set_executable(str(tmp_path / "python"))
    assert interpreter.find() == sys.executable
    (tmp_path / "python3").mkdir()
    multiprocessing.set_executable(str(tmp_path / "python3"))
    assert interpreter.find() == sys.executable


def test_a_missing_interpreter_is_an_error_with_a_fix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    embed(monkeypatch, "/usr/sbin/httpd", tmp_path)
    with pytest.raises(ConfigError, match=f"/usr/sbin/httpd is not a Python interpreter.*{FIX}"):
        interpreter.find()
    embed(monkeypatch, None, tmp_path)
    with pytest.raises(ConfigError, match="this program is not a Python interpreter"):
        interpreter.find()


def test_a_frozen_application_is_refused_whatever_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another Python interpreter could not import the code inside it."""
    embed(monkeypatch, program(tmp_path / "python-game"), Path(sys.prefix))
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(ConfigError, match=f"python-game is a frozen application.*{FIX}"):
        interpreter.find()


def test_a_frozen_application_may_name_an_interpreter_with_the_same_packages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = sys.executable
    embed(monkeypatch, program(tmp_path / "game"), tmp_path)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    multiprocessing.set_executable(program(tmp_path / "python", f'exec {real} "$@"'))
    assert interpreter.find() == str(tmp_path / "python")


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (
            "echo \"ModuleNotFoundError: No module named 'dataart_mp'\" >&2; exit 1",
            "No module named",
        ),
        ("echo 0.0.1", "'0.0.1'"),
        ("", "it ends without a message"),
    ],
)
def test_a_frozen_application_is_refused_if_the_interpreter_lacks_these_packages(
    answer: str, shown: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The events would be accepted, and no worker could ever deliver them."""
    before = open_descriptors()
    embed(monkeypatch, program(tmp_path / "game"), tmp_path)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    multiprocessing.set_executable(program(tmp_path / "python3", answer))
    with pytest.raises(ConfigError, match=shown) as refusal:
        Client(ClientConfig("key"))
    assert f"install dataart_mp=={__version__} in that interpreter" in str(refusal.value)
    assert open_descriptors() == before


def test_a_frozen_application_gives_workers_the_original_library_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PyInstaller sets it to the libraries of the application, which another Python cannot use."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/app/_internal")
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/opt/lib")
    assert interpreter.environment()["LD_LIBRARY_PATH"] == "/opt/lib"
    monkeypatch.delenv("LD_LIBRARY_PATH_ORIG")
    assert "LD_LIBRARY_PATH" not in interpreter.environment()


def test_a_worker_allocates_from_one_heap_unless_the_application_has_chosen_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    assert interpreter.environment()["MALLOC_ARENA_MAX"] == "1"
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    assert interpreter.environment()["MALLOC_ARENA_MAX"] == "4"


def test_a_process_that_was_started_as_a_worker_starts_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(interpreter.GUARD, "1")
    with pytest.raises(ConfigError, match=f"is the application itself: .*{FIX}"):
        interpreter.find()


def test_a_client_is_refused_before_it_has_accepted_anything(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = open_descriptors()
    embed(monkeypatch, "/usr/sbin/httpd", tmp_path)
    with pytest.raises(ConfigError, match=FIX):
        Client(ClientConfig("key"))
    assert open_descriptors() == before


SETTINGS = """
import json, sys
known = ("pycache_prefix", "utf8", "int_max_str_digits", "dev")
print(json.dumps({
    "dont_write_bytecode": sys.dont_write_bytecode,
    "pycache_prefix": sys.pycache_prefix,
    "optimize": sys.flags.optimize,
    "utf8_mode": sys.flags.utf8_mode,
    "dev_mode": sys.flags.dev_mode,
    "no_site": sys.flags.no_site,
    "int_max_str_digits": sys.get_int_max_str_digits(),
    "others": {name: text for name, text in sys._xoptions.items() if name not in known},
}))
"""
OPTIONS = f"""
import subprocess, sys
sys.path[:0] = {sys.path!r}
from dataart_mp.supervision import interpreter
subprocess.run([sys.executable, *interpreter.options(), "-c", {SETTINGS!r}], cwd="/")
"""


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        ([], {}),
        (["-B"], {}),
        ([], {"PYTHONDONTWRITEBYTECODE": "1"}),
        (["-X", "pycache_prefix=/tmp/cache"], {}),
        ([], {"PYTHONPYCACHEPREFIX": "/tmp/cache"}),
        (["-O"], {}),
        (["-OO"], {}),
        ([], {"PYTHONOPTIMIZE": "2"}),
        (["-X", "dev"], {}),
        ([], {"PYTHONDEVMODE": "1"}),
        (["-X", "utf8"], {}),
        (["-X", "utf8=0"], {}),
        ([], {"PYTHONUTF8": "1"}),
        (["-X", "int_max_str_digits=0"], {}),
        ([], {"PYTHONINTMAXSTRDIGITS": "10000"}),
        (["-S"], {}),
        (["-X", "faulthandler", "-X", "own=1"], {}),
        (["-E"], {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONOPTIMIZE": "1"}),
    ],
)
def test_settings_of_the_interpreter_reach_workers(
    options: list[str], variables: dict[str, str]
) -> None:
    def run(code: str) -> str:
        return subprocess.run(
            [sys.executable, *options, "-c", code],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert run(OPTIONS) == run(SETTINGS) != ""


def test_a_relative_cache_of_bytecode_stays_where_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", "cache")
    monkeypatch.setattr(import_path, "_FIRST_DIRECTORY", str(tmp_path))
    assert f"pycache_prefix={tmp_path}/cache" in interpreter.options()


def test_settings_that_were_made_in_the_program_reach_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert "-B" in interpreter.options()
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    assert "-B" not in interpreter.options()


def test_what_would_print_or_end_a_worker_does_not_reach_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its output would fill the pipe to its starter; a warning as an error would end it."""
    monkeypatch.setattr(sys, "_xoptions", {"importtime": True, "showrefcount": True})
    monkeypatch.setattr(sys, "warnoptions", ["error"])
    options = interpreter.options()
    assert not {"importtime", "showrefcount", "-W", "-Werror"} & {*options}


def test_a_frozen_application_passes_on_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its options were chosen for the interpreter inside it, which has no `site`, for example."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert interpreter.options() == ["-I"]
