"""Every code block of the README does what the README says."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from dataart_mp.devsink.process import SinkProcess

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
LOCAL = "http://127.0.0.1:8765"


@dataclass(frozen=True)
class Block:
    """A code block, and the output that stands below it, if any."""

    language: str
    text: str
    output: str | None


def blocks(language: str) -> list[Block]:
    fences = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    found = []
    for number, (kind, text) in enumerate(fences):
        below = fences[number + 1] if number + 1 < len(fences) else ("", "")
        if kind == language:
            found.append(Block(kind, text, below[1] if below[0] == "text" else None))
    return found


def environment(sink: SinkProcess) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    settings = {"DATAART_API_KEY": "k", "DATAART_BASE_URL": sink.url, "PATH": path}
    return {**os.environ, **settings}


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.text.split("\n")[0])
def test_the_python_blocks_run_and_print_what_stands_below(
    block: Block, sink: SinkProcess, tmp_path: Path
) -> None:
    script = tmp_path / "block.py"
    script.write_text(block.text.replace(LOCAL, sink.url))
    done = subprocess.run(
        # From Python 3.12 on a fork beside threads warns; the README says why ours is safe.
        [sys.executable, "-X", "dev", "-W", "error", "-W", "ignore:This process", script],
        env=environment(sink),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    if block.output is not None:
        assert done.stdout == block.output
    assert sink.stats()["rejected_requests"] == 0


def test_the_python_blocks_satisfy_mypy(tmp_path: Path) -> None:
    for number, block in enumerate(blocks("python")):
        (tmp_path / f"block_{number}.py").write_text(block.text)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_two_commands_are_there_and_the_demo_passes() -> None:
    commands = [line.split()[0] for line in blocks("sh")[0].text.splitlines()]
    assert commands == ["scripts/demo", "scripts/test"]  # the latter is what runs this
    assert all(os.access(ROOT / command, os.X_OK) for command in commands)
    demo = [sys.executable, "-m", "dataart_mp.cli", "demo", "--outage", "0.2"]
    sample = ["--flights", str(ROOT / "tests/data/flights.jsonl")]
    done = subprocess.run([*demo, *sample], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert blocks("sh")[0].output == done.stdout.splitlines(keepends=True)[-1]


def test_the_command_line_ships_what_is_piped_into_it(sink: SinkProcess) -> None:
    """The block of the README, with the sink of the test and the sample that needs no download."""
    start, setting, ship, look = blocks("sh")[1].text.splitlines()
    assert start == "dataart-mp sink --port 8765 &"
    assert setting == f"export DATAART_API_KEY=any DATAART_BASE_URL={LOCAL}"
    assert ship == "dataart-mp flights --sample 3000 | dataart-mp ship -"
    assert look == f"curl {LOCAL}/_sink/stats"
    with (ROOT / "tests/data/flights.jsonl").open() as flights:
        subprocess.run(
            ["dataart-mp", "ship", "-"],
            stdin=flights,
            env=environment(sink),
            check=True,
            capture_output=True,
            timeout=60,
        )
    assert sink.stats()["actions"] == 3000


def test_every_proof_that_is_named_exists() -> None:
    names = re.findall(r"`(test_\w+)`", README)
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(names) > 10
    assert [name for name in names if f"def {name}(" not in tests] == []
