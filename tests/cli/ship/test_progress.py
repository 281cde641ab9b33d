"""The progress bar of `ship`, which only a terminal shows."""

import re
import subprocess
from pathlib import Path

from dataart_mp.devsink import SinkProcess
from tests.cli.terminal import FLIGHTS, SCRIPT, Tmux, needs_tmux, start_in_terminal
from tests.support import wait_until

# Escape sequences that move the cursor, set colours, and so on.
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CTRL_C = b"\x03"


def screen(shown: bytes) -> str:
    """Return all output without escape sequences, with one line for each drawing of the bar."""
    return _CONTROLS.sub("", shown.decode()).replace("\r", "\n")


def test_a_bar_shows_the_progress_and_does_not_change_the_output(
    env: dict[str, str], tmp_path: Path
) -> None:
    output = tmp_path / "result"

    process = start_in_terminal(f"{SCRIPT} ship --json {FLIGHTS} > {output}", env)
    shown, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert re.search(
        r"^Shipping ━+ 100% 3,000 delivered, [0-9,]+/s, 0 retries", screen(shown), re.MULTILINE
    )
    assert output.read_text().startswith('{"exit_code": 0')


def test_a_bad_line_is_reported_on_a_separate_line_above_the_bar(
    env: dict[str, str], tmp_path: Path
) -> None:
    events = tmp_path / "events"
    events.write_bytes(b"?\n" + FLIGHTS.read_bytes())

    process = start_in_terminal(f"{SCRIPT} ship --on-error skip {events}", env)
    shown, _ = process.communicate(timeout=60)

    assert process.returncode == 3
    assert re.search(rf"^{events}:1: not JSON", screen(shown), re.MULTILINE)
    assert "3,000 delivered" in screen(shown)


def test_ctrl_c_at_the_keyboard_delivers_what_was_read(
    sink: SinkProcess, env: dict[str, str]
) -> None:
    process = start_in_terminal(f"(cat {FLIGHTS}; sleep 60) | {SCRIPT} ship -", env)
    assert process.stdin is not None
    sink.wait_for(lambda stats: stats["actions"] == 3000)

    process.stdin.write(_CTRL_C)
    process.stdin.flush()
    shown, _ = process.communicate(timeout=30)

    assert "stopping: delivering the events that were read" in screen(shown)
    assert "Delivered 3,000 of 3,000 events" in screen(shown)
    assert "Traceback" not in screen(shown)


def test_no_bar_is_drawn_outside_a_terminal(env: dict[str, str]) -> None:
    done = subprocess.run(
        [SCRIPT, "ship", FLIGHTS], env=env, capture_output=True, timeout=60, check=True
    )

    assert b"\x1b" not in done.stdout + done.stderr
    assert "━" not in done.stderr.decode()


@needs_tmux
def test_the_bar_shows_the_time_left_and_after_ctrl_c_the_command_to_continue(
    sink: SinkProcess, env: dict[str, str], tmp_path: Path
) -> None:
    sink.set_faults({"kind": "latency", "seconds": 0.1})
    with Tmux({**env, "DATAART_FLUSH_BUFFER_SIZE": "4"}, tmp_path) as terminal:
        terminal.type(f"cp {FLIGHTS} flights.jsonl; dataart-mp ship flights.jsonl", "Enter")
        wait_until(
            lambda: re.search(
                r"Shipping ━.* +\d+% \d+ delivered, \d+/s, .* 0:00:\d\d", terminal.screen
            )
        )
        terminal.type("C-c")
        wait_until(lambda: "to continue: dataart-mp ship --resume flights.jsonl" in terminal.screen)
        sink.clear_faults()
        terminal.type("clear; dataart-mp ship --resume flights.jsonl && echo $((40 + 2))", "Enter")
        wait_until(lambda: "\n42\n" in terminal.screen)

        assert re.search(r"Resumed after [\d,]+ lines\.\nDelivered ", terminal.screen)
    stats = sink.stats()
    assert stats["distinct_actions"] == stats["actions"] == 3000
