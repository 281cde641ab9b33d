"""A worker runs in a Python of the application's version, whatever the application runs in."""

import multiprocessing
import os
import subprocess
import sys
from multiprocessing import spawn
from pathlib import Path

import pytest

from dataart_mp import Client, ClientConfig, ConfigError
from dataart_mp.supervision import interpreter
from tests.support import open_descriptors

REMEDY = r"multiprocessing\.set_executable\(\"/path/to/python\"\)"


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What multiprocessing takes for the executable stands in its module."""
    monkeypatch.setattr(spawn, "_python_exe", os.fsencode(sys.executable))
    monkeypatch.delenv(interpreter.GUARD, raising=False)


def program(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o700)
    return str(path)


def embed(monkeypatch: pytest.MonkeyPatch, executable: str | None, prefix: Path) -> None:
    """As it looks in a program that has Python in it."""
    monkeypatch.setattr(sys, "executable", executable)
    monkeypatch.setattr(sys, "_base_executable", executable, raising=False)
    for name in ("prefix", "exec_prefix", "base_prefix", "base_exec_prefix"):
        monkeypatch.setattr(sys, name, str(prefix))
    spawn.set_executable(executable)  # type: ignore[arg-type]


def test_it_is_this_very_interpreter() -> None:
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
    """uWSGI and mod_wsgi; the version stands in the name, so no other one is taken."""
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


def test_what_the_application_has_told_multiprocessing_comes_first(tmp_path: Path) -> None:
    python = program(tmp_path / "python")
    multiprocessing.set_executable(python)
    assert interpreter.find() == python


def test_what_is_not_there_or_not_executable_is_not_taken(
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


def test_no_interpreter_at_all_is_said_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    embed(monkeypatch, "/usr/sbin/httpd", tmp_path)
    with pytest.raises(ConfigError, match=f"/usr/sbin/httpd is no Python interpreter.*{REMEDY}"):
        interpreter.find()
    embed(monkeypatch, None, tmp_path)
    with pytest.raises(ConfigError, match="this program is no Python interpreter"):
        interpreter.find()


def test_a_frozen_application_is_refused_whatever_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its code is sealed in: the Python that lies about could not import it."""
    embed(monkeypatch, program(tmp_path / "python-game"), Path(sys.prefix))
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(ConfigError, match=f"python-game is a frozen application.*{REMEDY}"):
        interpreter.find()


def test_a_frozen_application_may_name_an_interpreter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    embed(monkeypatch, program(tmp_path / "game"), tmp_path)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    multiprocessing.set_executable(program(tmp_path / "python"))
    assert interpreter.find() == str(tmp_path / "python")


def test_a_process_that_was_started_to_be_a_worker_starts_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(interpreter.GUARD, "1")
    with pytest.raises(ConfigError, match=f"is the application itself: .*{REMEDY}"):
        interpreter.find()


def test_a_client_is_refused_before_it_has_accepted_anything(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = open_descriptors()
    embed(monkeypatch, "/usr/sbin/httpd", tmp_path)
    with pytest.raises(ConfigError, match=REMEDY):
        Client(ClientConfig("key"))
    assert open_descriptors() == before
