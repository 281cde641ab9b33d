"""A real application that PyInstaller has frozen."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.hosts.host import CLIENT, StartHost

pytest.importorskip("PyInstaller", reason="PyInstaller has no wheel for this interpreter")
pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]  # a build takes a minute

HEAD = """
import multiprocessing, sys
if len(sys.argv) > 1:
    multiprocessing.set_executable(sys.argv[1])
"""


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frozen application, which emits 30 events."""
    directory = tmp_path_factory.mktemp("frozen")
    (directory / "app.py").write_text(HEAD + CLIENT + "for number in range(30): emit(number)\n")
    build = subprocess.run(
        [sys.executable, "-m", "PyInstaller", "--noconfirm", "--onedir", "app.py"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert build.returncode == 0, build.stderr
    return directory / "dist" / "app" / "app"


def test_it_delivers_through_the_interpreter_that_it_names(host: StartHost, frozen: Path) -> None:
    """The packages are those of that interpreter: nothing can import what is inside the bundle."""
    app = host({}, frozen, sys.executable)
    assert app.check_end() == 0, app.log
    app.check_arrived(range(30))


def test_it_is_refused_if_that_interpreter_has_no_packages(
    host: StartHost, frozen: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "bare")
    python = tmp_path / "bare" / "bin" / "python"
    app = host({}, frozen, python)
    assert app.process.wait(20) == 1
    assert f"ConfigError: {python} cannot run the workers of this frozen application" in app.log
    assert "No module named 'dataart_mp'" in app.log


def test_it_is_refused_if_it_names_no_interpreter(host: StartHost, frozen: Path) -> None:
    app = host({}, frozen)
    assert app.process.wait(20) == 1
    assert "is a frozen application, and workers need a Python interpreter" in app.log
