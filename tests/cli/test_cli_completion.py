"""Tab in a shell completes commands, options and files."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import environment, wait_until
from terminal import Tmux, needs_tmux, run

BIN = Path(sys.executable).parent
needs_bash = pytest.mark.skipif(
    shutil.which("bash") is None, reason="bash is not installed: apt-get install bash"
)

# What bash does on Tab: it calls the function that was registered for the command.
_TAB = """
eval "$(dataart-mp completion bash)"
COMP_WORDS=({words}) COMP_CWORD={last}
function=$(complete -p dataart-mp | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
compopt() {{ printf 'compopt %s %s\\n' "$@"; }}
"$function" dataart-mp
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def tab(line: str, folder: Path) -> list[str]:
    """What bash offers when Tab is pressed at the end of a line."""
    words = line.split(" ")
    script = _TAB.format(words=" ".join(map(repr, words)), last=len(words) - 1)
    env = environment()
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={**env, "PATH": f"{BIN}:{env['PATH']}"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@needs_bash
def test_bash_completes_commands_options_and_choices(tmp_path: Path) -> None:
    assert tab("dataart-mp do", tmp_path) == ["doctor"]
    found = tab("dataart-mp ship --ba", tmp_path)
    assert sorted(found) == ["--backoff", "--bad-rows", "--base-url", "--batch-size"]
    assert tab("dataart-mp ship --format c", tmp_path) == ["csv"]


@needs_bash
def test_bash_completes_files_by_itself(tmp_path: Path) -> None:
    assert "compopt -o default" in tab("dataart-mp ship ev", tmp_path)


@needs_tmux
def test_tab_at_the_keyboard_completes_command_option_and_file(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").touch()
    with Tmux(environment(), tmp_path) as terminal:
        terminal.type('eval "$(dataart-mp completion bash)"', "Enter", "clear", "Enter")
        for typed, completed in (
            ("dataart-mp sh", "dataart-mp ship"),
            ("--dry", "--dry-run"),
            ("ev", "events.jsonl"),
        ):
            terminal.type(typed, "Tab")
            wait_until(lambda completed=completed: completed in terminal.screen)  # type: ignore[misc]
        terminal.type("Enter")
        wait_until(lambda: "0 actions and 0 identities would be shipped" in terminal.screen)


@pytest.mark.parametrize(("shell", "word"), [("zsh", "compdef"), ("fish", "complete ")])
def test_zsh_and_fish_get_a_script_of_their_own(shell: str, word: str) -> None:
    done = run("completion", shell)

    assert (done.returncode, done.stderr) == (0, "")
    assert word in done.stdout
    assert "_DATAART_MP_COMPLETE" in done.stdout
