"""Shells complete commands, options and files on Tab."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from dataart_mp.cli.app import app
from tests.cli.terminal import Tmux, needs_tmux
from tests.support import environment, wait_until

BIN = Path(sys.executable).parent
needs_bash = pytest.mark.skipif(
    shutil.which("bash") is None, reason="bash is not installed: apt-get install bash"
)

# On Tab, bash calls the function that is registered for the command.
_SETUP = """
eval "$(dataart-mp completion bash)"
function=$(complete -p dataart-mp | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
compopt() { COMPREPLY=("compopt $1 $2"); }
"""
_TAB = """
COMPREPLY=() COMP_WORDS=({words}) COMP_CWORD={last}
"$function" dataart-mp
(IFS=,; echo "${{COMPREPLY[*]}}")
"""


def tab(*lines: str) -> list[list[str]]:
    """Return what bash offers when Tab is pressed at the end of each line."""
    script = _SETUP
    for line in lines:
        words = line.split(" ")
        script += _TAB.format(words=" ".join(map(repr, words)), last=len(words) - 1)
    env = environment()
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={**env, "PATH": f"{BIN}:{env['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return [sorted(offered.split(",")) for offered in done.stdout.splitlines()]


@needs_bash
def test_bash_completes_commands_options_choices_and_files() -> None:
    command, option, choice, file = tab(
        "dataart-mp do", "dataart-mp ship --ba", "dataart-mp ship --format c", "dataart-mp ship ev"
    )

    assert command == ["doctor"]
    assert option == ["--backoff", "--bad-rows", "--base-url", "--batch-size"]
    assert choice == ["csv"]
    assert file == ["compopt -o default"]  # bash completes files itself


@needs_tmux
def test_tab_at_the_keyboard_completes_command_and_file(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").touch()
    with Tmux(environment(), tmp_path) as terminal:
        terminal.type('eval "$(dataart-mp completion bash)"', "Enter", "clear", "Enter")
        for typed, completed in (
            ("dataart-mp sh", "dataart-mp ship"),
            ("ev", "events.jsonl"),
        ):
            terminal.type(typed, "Tab")
            wait_until(lambda completed=completed: completed in terminal.screen)  # type: ignore[misc]
        terminal.type("--dry-run", "Enter")
        wait_until(lambda: "0 actions and 0 identities would be shipped" in terminal.screen)


@pytest.mark.parametrize(("shell", "word"), [("zsh", "compdef"), ("fish", "complete ")])
def test_zsh_and_fish_have_their_own_scripts(shell: str, word: str) -> None:
    done = CliRunner().invoke(app, ["completion", shell], prog_name="dataart-mp")

    assert done.exit_code == 0
    assert word in done.stdout
    assert "_DATAART_MP_COMPLETE" in done.stdout
