"""What a terminal shows of the progress, and what a pipe does not."""

import re
import subprocess
from pathlib import Path

from terminal import FLIGHTS, SCRIPT, start_in_terminal

from dataart_mp.devsink import SinkProcess

# What moves the cursor, colours, and so on.
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CTRL_C = b"\x03"


def screen(shown: bytes) -> str:
    """All that was ever shown, a line for each time that the bar was drawn."""
    return _CONTROLS.sub("", shown.decode()).replace("\r", "\n")


def test_a_bar_tells_how_far_it_has_come_and_leaves_the_output_alone(
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


def test_a_bad_line_stands_above_the_bar_on_a_line_of_its_own(
    env: dict[str, str], tmp_path: Path
) -> None:
    events = tmp_path / "events"
    events.write_bytes(b"?\n" + FLIGHTS.read_bytes())

    process = start_in_terminal(f"{SCRIPT} ship --on-error skip {events}", env)
    shown, _ = process.communicate(timeout=60)

    assert process.returncode == 3
    assert re.search(rf"^{events}:1: not JSON", screen(shown), re.MULTILINE)
    assert "3,000 delivered" in screen(shown)


def test_ctrl_c_at_the_keyboard_comes_to_an_orderly_end(
    sink: SinkProcess, env: dict[str, str]
) -> None:
    process = start_in_terminal(f"(cat {FLIGHTS}; sleep 60) | {SCRIPT} ship -", env)
    assert process.stdin is not None
    sink.wait_for(lambda stats: stats["actions"] == 3000)

    process.stdin.write(_CTRL_C)
    process.stdin.flush()
    shown, _ = process.communicate(timeout=30)

    assert "stopping: what was read is being delivered" in screen(shown)
    assert "Delivered 3,000 of 3,000 events" in screen(shown)
    assert "Traceback" not in screen(shown)


def test_no_bar_is_drawn_where_nobody_looks(env: dict[str, str]) -> None:
    done = subprocess.run(
        [SCRIPT, "ship", FLIGHTS], env=env, capture_output=True, timeout=60, check=True
    )

    assert done.stderr == b""
    assert b"\x1b" not in done.stdout
