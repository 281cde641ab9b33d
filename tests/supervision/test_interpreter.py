"""A worker runs in a Python interpreter of the application's version, whatever embeds Python."""

import multiprocessing
import os
import subprocess
import sys
from multiprocessing import spawn
from pathlib import Path

import pytest

from dataart_mp import Client, ClientConfig, ConfigError
from dataart_mp.supervision import interpreter
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
