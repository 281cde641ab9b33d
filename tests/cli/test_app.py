"""The command line as a whole: help, version, and messages for missing extras."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import dataart_mp
from dataart_mp.cli.app import app
from tests.cli.terminal import FLIGHTS, SCRIPT, run
from tests.support import environment

COMMANDS = list(app.commands)


def hide(folder: Path, module: str) -> None:
    """Hide a module from interpreters that have the folder in PYTHONPATH."""
    (folder / "sitecustomize.py").write_text(
        "from importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec\n"
        "PathFinder.find_spec = "
        f"lambda name, *rest: None if name == {module!r} else find(name, *rest)\n"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_shows_an_example(command: str) -> None:
    done = run(command, "--help")

    assert done.returncode == 0
    assert "Example" in done.stdout
    assert f"  dataart-mp {command}" in done.stdout


def test_the_help_lists_every_command() -> None:
    help_text = run("--help").stdout

    assert all(f"\n  {command} " in help_text for command in COMMANDS)


_IMPORTED = """
import sys
from dataart_mp.cli import main

try:
    main()
finally:
    print(sorted({"dataart_mp.client", "orjson", "rich", "urllib3"} & sys.modules.keys()))
"""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["version"], ["ship", "--help"]])
def test_help_and_version_do_not_import_what_only_other_commands_need(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTED, *arguments], capture_output=True, text=True, check=True
    )

    imported = done.stdout.splitlines()[-1]
    assert imported == "[]" or arguments[0] == "ship"
    assert ("dataart_mp.client" in imported) == (arguments[0] == "ship"), "else this finds nothing"


def test_without_a_command_the_help_is_shown_as_it_is_with_help() -> None:
    done = run()

    assert done.returncode == 2
    assert (done.stdout + done.stderr).strip() == run("--help").stdout.strip()


def test_every_exit_code_of_ship_is_documented() -> None:
    help_text = run("ship", "--help").stdout

    assert all(f"\n    {code} " in help_text for code in (0, 1, 2, 3, 130, 141))


def test_the_version_is_printed_as_text_and_as_json() -> None:
    assert run("--version").stdout == f"dataart-mp {dataart_mp.__version__}\n"
    kind = "compiled" if dataart_mp.compiled else "pure Python"
    version = f"dataart-mp {dataart_mp.__version__} ({kind}, CPython 3."
    assert run("version").stdout.startswith(version)
    assert json.loads(run("version", "--json").stdout)["dataart-mp"] == dataart_mp.__version__


@pytest.mark.parametrize("module", ["dataart_mp", "dataart_mp.cli"])
def test_the_command_line_runs_as_a_module(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, "version"], capture_output=True, check=True
    )

    assert done.stdout.startswith(b"dataart-mp ")


def test_the_module_names_a_missing_extra(tmp_path: Path) -> None:
    hide(tmp_path, "click")

    done = subprocess.run(
        [sys.executable, "-m", "dataart_mp", "version"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(PYTHONPATH=str(tmp_path)),
    )

    assert (done.returncode, done.stdout) == (2, "")
    needs = "dataart-mp: the command line needs click: pip install 'dataart-mp[cli]'\n"
    assert done.stderr == needs


@pytest.mark.parametrize(
    ("command", "missing", "extra"),
    [
        ("version", "click", "dataart-mp[cli]"),
        ("version", "rich", "dataart-mp[cli]"),
        ("sink", "uvicorn", "dataart-mp[sink]"),
        (f"demo --flights {FLIGHTS}", "uvicorn", "dataart-mp[demo]"),
    ],
)
def test_a_missing_extra_is_named(tmp_path: Path, command: str, missing: str, extra: str) -> None:
    hide(tmp_path, missing)

    done = run(*command.split(), env=environment(PYTHONPATH=str(tmp_path)))

    assert done.returncode == 2
    assert f"pip install '{extra}'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_output_device_is_reported() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([SCRIPT, "version"], stdout=full, stderr=subprocess.PIPE, check=False)

    assert done.returncode == 2
    assert done.stderr == b"dataart-mp: [Errno 28] No space left on device\n"


_NO_DESCRIPTOR = """
import resource
from dataart_mp.cli.app import app
from dataart_mp.cli.version import version

def fail(**_):
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    open("/dev/null")

version.callback = fail
app(["version"])
"""


def test_an_error_is_reported_when_no_descriptor_is_free() -> None:
    command = [sys.executable, "-c", _NO_DESCRIPTOR]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr == "dataart-mp: /dev/null: Too many open files\n"
