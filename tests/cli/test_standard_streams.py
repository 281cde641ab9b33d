"""Commands work in any encoding, and with closed standard streams."""

import subprocess
from pathlib import Path

import pytest

from dataart_mp.devsink import SinkProcess
from tests.cli.terminal import SCRIPT

EVENT = b'{"key":"play","user_key":"u"}\n'
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with an event and a bad row, whose name only UTF-8 can express."""
    path = tmp_path / "été….jsonl"
    path.write_bytes(EVENT + b"?\n")
    return path


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "cp1252:strict"},
        C_LOCALE,
    ],
    ids=str,
)
def test_what_an_encoding_cannot_express_is_escaped(
    sink: SinkProcess, env: dict[str, str], file: Path, variables: dict[str, str]
) -> None:
    def output(*arguments: object) -> str:
        done = subprocess.run(
            [SCRIPT, *map(str, arguments)],
            env={**env, **variables},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert b"Traceback" not in done.stderr
        return (done.stdout + done.stderr).decode(errors="replace")

    assert "2: not JSON" in output("ship", file)
    assert "Examples:" in output("ship", "--help")
    assert "test event" in output("doctor")
    assert sink.stats()["actions"] > 0


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_ship_works_with_closed_standard_streams(
    sink: SinkProcess, env: dict[str, str], tmp_path: Path, closed: str
) -> None:
    events = tmp_path / "events.jsonl"
    events.write_bytes(EVENT * 50)

    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", SCRIPT, "ship", str(events)],
        env=env,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert sink.stats()["actions"] == 50
    assert list(tmp_path.iterdir()) == [events]


def test_other_commands_work_with_closed_standard_streams(env: dict[str, str]) -> None:
    for words in ("version", "doctor", "completion bash", "ship --help"):
        command = f"exec {SCRIPT} {words} >&- 2>&- <&-"
        assert subprocess.run(command, shell=True, env=env, check=False).returncode == 0, words


def test_messages_that_nobody_can_read_do_not_stop_the_delivery(
    sink: SinkProcess, env: dict[str, str], tmp_path: Path
) -> None:
    events = tmp_path / "events.jsonl"
    events.write_bytes((b"?\n" + EVENT) * 50)

    done = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>/dev/full', "sh", SCRIPT, "ship", "--on-error", "skip", events],
        env=env,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 3
    assert sink.stats()["actions"] == 50


def test_a_full_disk_behind_standard_output_is_reported(env: dict[str, str]) -> None:
    done = subprocess.run(
        f"exec {SCRIPT} version >/dev/full",
        shell=True,
        env=env,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert b"No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr
