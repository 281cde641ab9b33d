"""The documentation is true: its code runs, and whatever it names exists."""

import inspect
import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dataart_mp import ClientConfig, HTTPOptions
from dataart_mp.devsink.process import SinkProcess

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [
    README,
    *(
        ROOT / name
        for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "bench/README.md")
    ),
    *sorted((ROOT / "docs").rglob("*.md")),
]
LOCAL = "http://127.0.0.1:8765"
OPTIONAL = re.compile(r"^import (duckdb|pandas|polars|pyarrow)\b", re.MULTILINE)
"""Packages that an application may have, and that not every environment of the tests has."""

FLIGHTS = ROOT / "tests/data/flights.jsonl"


@dataclass(frozen=True)
class Block:
    """A fenced code block of a page.

    Attributes:
        page: Where it is.
        language: What follows the opening fence.
        text: What it contains.
        output: What the next block contains, if that is a `text` block; else None.
    """

    page: Path
    language: str
    text: str
    output: str | None

    @property
    def lines(self) -> list[str]:
        """The lines without their comments."""
        return [line.partition("  #")[0].rstrip() for line in self.text.splitlines()]


def blocks(page: Path, language: str) -> Iterator[Block]:
    """The code blocks of a page in one language, in page order."""
    fences = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    for (kind, text), (next_kind, next_text) in itertools.pairwise([*fences, ("", "")]):
        if kind == language:
            yield Block(page, kind, text, next_text if next_kind == "text" else None)


def title(page: Path) -> str:
    """The path of a page in the repository."""
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """The text of a page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


PYTHON_BLOCKS = [block for page in PAGES for block in blocks(page, "python")]


def environment(url: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    settings = {"DATAART_API_KEY": "k", "DATAART_BASE_URL": url, "PATH": path}
    return {**os.environ, **settings}


def run_python(block: Block, url: str, directory: Path) -> str:
    """Run a block as a script in an empty directory, against the sink at `url`.

    Returns:
        What it printed.
    """
    script = directory / "block.py"
    script.write_text(block.text.replace(LOCAL, url))
    done = subprocess.run(
        # From Python 3.12 on, a fork in a process with threads warns; docs/hosts.md says why ours
        # is safe.
        [sys.executable, "-X", "dev", "-W", "error", "-W", "ignore:This process", script],
        cwd=directory,
        env=environment(url),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, _SLOW_STEP.sub("", done.stderr)) == (0, "")
    return done.stdout


# In development mode, asyncio logs a step that takes 0.1 s, as any may on a loaded machine.
_SLOW_STEP = re.compile(r"^Executing <.*> took \d+\.\d+ seconds\n", re.MULTILINE)


# Code


@pytest.mark.parametrize(
    "block",
    PYTHON_BLOCKS,
    ids=[f"{title(block.page)}: {block.text.splitlines()[0]}" for block in PYTHON_BLOCKS],
)
def test_the_python_blocks_run_and_print_the_output_below(
    block: Block, sink: SinkProcess, tmp_path: Path
) -> None:
    for package in OPTIONAL.findall(block.text):
        pytest.importorskip(package)
    output = run_python(block, sink.url, tmp_path)
    if block.output is not None:
        assert output == block.output
    assert sink.stats()["rejected_requests"] == 0


def test_the_python_blocks_satisfy_mypy(tmp_path: Path) -> None:
    assert len(PYTHON_BLOCKS) > 10
    for number, block in enumerate(PYTHON_BLOCKS):
        (tmp_path / f"block_{number}.py").write_text(block.text)
    done = subprocess.run(
        # The settings of the project are strict. They share the cache with scripts/check.
        [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_first_snippet_works_with_the_sink_that_is_started_above_it(tmp_path: Path) -> None:
    """Paste the README in page order; only the port is another one, because 8765 may be taken."""
    install, set_path, start = next(blocks(README, "sh")).lines
    assert install == "scripts/venv demo"
    assert os.access(ROOT / "scripts/venv", os.X_OK)
    assert set_path == 'export PATH="$PWD/.venv/bin:$PATH"'
    assert start == "dataart-mp sink &"
    command = start.removesuffix(" &").split()
    with subprocess.Popen(
        [*command, "--port", "0"], env=environment(LOCAL), stdout=subprocess.PIPE, text=True
    ) as sink:
        assert sink.stdout is not None
        announcement, _, url = sink.stdout.readline().strip().rpartition(" ")
        assert f"`{announcement} …`" in README.read_text()
        block = next(blocks(README, "python"))
        assert run_python(block, url, tmp_path) == block.output
        sink.send_signal(signal.SIGINT)


def test_the_two_commands_exist_and_the_demo_passes() -> None:
    both = next(block for block in blocks(README, "sh") if block.text.startswith("scripts/demo"))
    assert both.lines == ["scripts/demo", "scripts/test"]  # the latter is what runs this test
    assert all(os.access(ROOT / command, os.X_OK) for command in both.lines)
    demo = [sys.executable, "-m", "dataart_mp.cli", "demo", "--outage", "0.2"]
    done = subprocess.run(
        [*demo, "--flights", str(FLIGHTS)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert both.output == done.stdout.splitlines(keepends=True)[-1]


def test_the_command_line_ships_what_is_piped_into_it(sink: SinkProcess) -> None:
    """The block of the README, with the sink of the test and the sample that needs no download."""
    setting, ship, look = next(
        block.lines for block in blocks(README, "sh") if "dataart-mp ship" in block.text
    )
    assert setting == f"export DATAART_API_KEY=any DATAART_BASE_URL={LOCAL}"
    assert ship == "dataart-mp flights --sample 3000 | dataart-mp ship -"
    assert look == f"curl {LOCAL}/_sink/stats"
    with FLIGHTS.open() as flights:
        subprocess.run(
            ["dataart-mp", "ship", "-"],
            stdin=flights,
            env=environment(sink.url),
            check=True,
            capture_output=True,
            timeout=60,
        )
    assert sink.stats()["actions"] == 3000


# References


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 200


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_every_test_that_is_named_exists(page: Path) -> None:
    names = re.findall(r"`(test_\w+)`", page.read_text())
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in names if f"def {name}(" not in tests] == []


def test_every_row_of_the_guarantees_names_a_test() -> None:
    rows = re.findall(
        r"^\| (?!…|---)(.*) \|$", (ROOT / "docs/guarantees.md").read_text(), re.MULTILINE
    )
    assert len(rows) > 40
    assert [row for row in rows if "`test_" not in row.rpartition(" | ")[2]] == []


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_every_path_that_is_named_exists(page: Path) -> None:
    paths = re.findall(
        r"`((?:dataart_mp|tests|bench|scripts|docs|\.ci)/[\w./-]+)", page.read_text()
    )
    # NAME stands for a name of the reader's choice; .peers is created when it is needed.
    paths = [path for path in paths if "NAME" not in path and path != "bench/.peers"]
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = prose(page)
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)
    broken = [target for target in targets if "://" not in target and not _leads(page, target)]
    assert broken == []


def _leads(page: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    to = (page.parent / name).resolve() if name else page
    return to.exists() and (not anchor or anchor in _anchors(to))


def _anchors(page: Path) -> list[str]:
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [README]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        links = re.findall(r"\]\(([^)\s#]+\.md)", prose(page))
        found = {(page.parent / link).resolve() for link in links if "://" not in link}
        waiting += [link for link in found if link not in reached and link.is_file()]
    assert [title(page) for page in PAGES if page not in reached] == []


# The interface


@pytest.mark.parametrize(
    ("made", "heading"), [(ClientConfig("key"), "## Client"), (HTTPOptions(), "## HTTP")]
)
def test_every_setting_is_documented_with_its_default(made: Any, heading: str) -> None:
    section = (ROOT / "docs/settings.md").read_text().partition(f"{heading}\n")[2]
    section = section.partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| `?(.*?)`? \| .+ \|$", section, re.MULTILINE)
    written = {name: default.replace('"', "'") for name, default in rows}
    assert written.pop("api_key", None) in (None, "required")
    fields = [name for name in inspect.signature(type(made)).parameters if name != "api_key"]
    defaults = {name: repr(getattr(made, name)) for name in fields}
    if "http" in defaults:
        assert made.http == HTTPOptions()
        defaults["http"] = "HTTPOptions()"
    assert written == defaults


def test_every_command_is_documented() -> None:
    help_text = subprocess.run(
        ["dataart-mp", "--help"],
        env=environment(LOCAL),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    commands = re.findall(r"^  (\w+)  ", help_text.partition("Commands:")[2], re.MULTILINE)
    table = re.findall(
        r"^\| `dataart-mp (\w+)` \|", (ROOT / "docs/command-line.md").read_text(), re.MULTILINE
    )
    assert len(commands) > 5
    assert sorted(table) == sorted(commands)
