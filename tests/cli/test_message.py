"""What a command shows contains no control characters from outside, whatever the command."""

import json
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import click
import pytest

from dataart_mp.cli.app import app
from dataart_mp.cli.app import run as run_app
from dataart_mp.cli.message import command_line, printable
from tests.cli.terminal import SCRIPT, run, start_in_terminal
from tests.support import environment
from tests.transport.servers import Peer, Serve

# A title, a colour, C1's CSI, a separate line, a reversal, invisible marks, DEL, markup of rich.
HOSTILE = (
    "\x1b]0;title\x07\x1b[31m\x9b1m\r\nforged: line\x08\u202e\u2066\u200b\u200d\ufeff\u2028\u3164"
    "\x7f[bold]"
)

FILES = {
    "event.jsonl": '{"key":"k","user_key":"u"}\n',
    "bad.jsonl": "".join(
        json.dumps(row, ensure_ascii=False) + "\n"
        for row in (
            {"key": HOSTILE},
            {"key": "k", "user_key": "u", HOSTILE: 1},
            {"key": "k", "user_key": "u", "timestamp": HOSTILE},
            {"key": "k", "user_key": "u", "metadata": {HOSTILE: 2**70}},
            {"type": HOSTILE},
            {"user_key": {HOSTILE: HOSTILE}},
        )
    )
    + HOSTILE,
    "table.csv": f'"{HOSTILE}",user_key\n1,2\n',
    f"{HOSTILE}.jsonl": "?\n",
    "x.checkpoint": HOSTILE,
    "key": HOSTILE,
}
"""The files of a hostile directory."""

SPOOL = "@spool"
COMMANDS = [
    ("agent", "event.jsonl"),
    ("agent", "--api-key-file", f"@no/{HOSTILE}", "spool"),
    ("status", "spool"),
    ("status", HOSTILE),
    ("ship", "event.jsonl"),
    ("ship", "--dry-run", "bad.jsonl"),
    ("ship", "--on-error", "skip", "--bad-rows", "@kept", "@bad.jsonl"),
    ("ship", f"@{HOSTILE}.jsonl"),
    ("ship", "table.csv"),
    ("ship", "--key", HOSTILE, "event.jsonl"),
    ("ship", "--set", HOSTILE, "event.jsonl"),
    ("ship", "--format", HOSTILE, "event.jsonl"),
    ("ship", "--timezone", HOSTILE, "event.jsonl"),
    ("ship", "--encoding", HOSTILE, "event.jsonl"),
    ("ship", "--checkpoint", "@x.checkpoint", "event.jsonl"),
    ("ship", "--bad-rows", "@no/file", "@event.jsonl"),
    ("ship", "--api-key-file", "@key", "event.jsonl"),
    ("ship", "--base-url", HOSTILE, "event.jsonl"),
    ("ship", f"--{HOSTILE}", "event.jsonl"),
    ("ship", "@no-such-file"),
    ("doctor", "--base-url", "http://127.0.0.1:9"),
    ("doctor",),
    ("doctor", "--json"),
    ("doctor", "--base-url", f"http://{HOSTILE}"),
    ("sink", "--journal", "@no/journal"),
    ("sink", "--host", HOSTILE),
    ("sink", "--port", HOSTILE),
    ("demo", "--flights", "@bad.jsonl"),
    ("demo", "--flights", "@event.jsonl"),
    ("flights", "--cache-dir", "@key"),
    ("spool", "ls", SPOOL),
    ("spool", "ls", "--json", SPOOL),
    ("spool", "show", SPOOL),
    ("spool", "replay", SPOOL),
    ("spool", "purge", SPOOL, HOSTILE[:3]),
    ("spool", HOSTILE),
    ("bench", "--base-url", f"http://{HOSTILE}"),
    ("completion", HOSTILE),
    ("version", HOSTILE),
    (HOSTILE,),
]
"""Command lines with hostile words; `@` stands for the hostile directory."""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ä €", "plain text, ä €"),
        ("\x1b[31m\x9b\x7f\x00", "\\x1b[31m\\x9b\\x7f\\x00"),
        ("a\r\n\tb", "a\\r\\n\\tb"),
        ("\u202eb\u200d\ufeff", "\\u202eb\\u200d\\ufeff"),
        ("\u2028\u3164\u115f", "\\u2028\\u3164\\u115f"),
        ("\udcff\U000e0001", "\\udcff\\U000e0001"),
    ],
)
def test_invisible_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_shell_reads_a_shown_command_as_it_was_typed() -> None:
    words = ["ship", "a b", "it's\x1b[31m\\\n", os.fsdecode(b"\xff"), "\u202e"]

    line = command_line(words)

    assert printable(line) == line
    script = f'printf "%s\\0" {line}'
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    assert done.stdout.split(b"\0")[:-1] == [os.fsencode(word) for word in words]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with a hostile name, full of files with hostile names and content."""
    folder = tmp_path / HOSTILE
    dead = folder / "spool" / "dead"
    dead.mkdir(parents=True)
    for name, content in FILES.items():
        (folder / name).write_text(content, encoding="utf-8")
    event = {"key": HOSTILE, "user_key": HOSTILE, HOSTILE: 1}
    letter = {"time": HOSTILE, "reason": HOSTILE, "status": HOSTILE, "kind": HOSTILE}
    (dead / f"{HOSTILE}.jsonl").write_text(json.dumps({**letter, "event": event}) + "\n")
    (dead / f"damaged {HOSTILE}.jsonl").write_text(HOSTILE)
    return folder


@pytest.fixture
def hostile_env(serve: Serve) -> dict[str, str]:
    """An environment whose platform rejects everything with a hostile text."""

    def handle(peer: Peer) -> None:
        while peer.request() is not None:
            peer.respond(422, HOSTILE.encode(), "Location: \x1b[31m")

    return environment(
        DATAART_API_KEY="key-of-a-test",
        DATAART_BASE_URL=serve(handle).url,
        DATAART_FLUSH_NUM_RETRIES="0",
        **{"DATAART_FLUSH_NUM_WORKER\x1b[31m": "x"},
    )


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: printable(" ".join(words))[:40])
def test_no_command_shows_control_characters_from_outside(
    hostile_env: dict[str, str], folder: Path, words: tuple[str, ...]
) -> None:
    done = run(
        *(f"{folder}/{word[1:]}" if word[:1] == "@" else word for word in words),
        env=hostile_env,
        cwd=folder,
    )

    shown = done.stdout + done.stderr
    assert "Traceback" not in shown
    for line in shown.split("\n"):
        assert printable(line) == line
        assert not line.startswith("forged")


def test_every_command_is_driven_with_hostile_input() -> None:
    found = {name: app.resolve_command(click.Context(app), [name])[1] for name in app.commands}
    groups = {name for name, command in found.items() if isinstance(command, click.Group)}
    driven = {words[:2] if words[0] in groups else words[:1] for words in COMMANDS}
    assert {(name,) for name in app.commands.keys() - groups} <= driven
    assert {("spool", name) for name in ("ls", "show", "replay", "purge")} <= driven


def test_a_warning_of_the_client_is_a_message_without_control_characters(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr("dataart_mp.cli.app.app", lambda **_: None)
    run_app()

    warnings.showwarning(UserWarning(HOSTILE), UserWarning, "file", 1)
    sys.excepthook(ValueError, ValueError(HOSTILE), None)

    first, *rest = capsys.readouterr().err.splitlines()
    assert first == f"dataart-mp: {printable(HOSTILE)}"
    assert all(printable(line) == line for line in rest)


def test_a_bar_does_not_interpret_markup_or_control_characters_in_messages(
    hostile_env: dict[str, str], folder: Path
) -> None:
    process = start_in_terminal(
        f'cd "$FOLDER" && exec {SCRIPT} ship --on-error skip bad.jsonl',
        {**hostile_env, "FOLDER": str(folder)},
    )
    shown, _ = process.communicate(timeout=60)

    assert b"\x1b]0;title" not in shown
    assert b"\xe2\x80\xae" not in shown
    assert b"[bold]" in shown
