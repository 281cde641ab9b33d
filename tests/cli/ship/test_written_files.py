"""The files that `ship` writes: private, never through a link, and only if a run starts."""

import json
import os
import stat
import subprocess
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from dataart_mp.cli.ship.private_file import open_for_lines, write_private
from dataart_mp.devsink import SinkProcess
from tests.cli.terminal import SCRIPT, run

EVENT = b'{"key":"play","user_key":"u"}\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_bytes(EVENT * 30 + b"?\n" + EVENT)
    return path


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file to which somebody has laid links."""
    (tmp_path / "private").mkdir()
    path = tmp_path / "private" / "victim"
    path.write_text("PRECIOUS")
    return path


def beside(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("suffix", [".checkpoint", ".checkpoint.new", ".checkpoint.lock", ".bad"])
@pytest.mark.parametrize("exists", [True, False])
def test_no_file_is_written_through_a_symbolic_link(
    sink: SinkProcess, env: dict[str, str], file: Path, victim: Path, suffix: str, exists: bool
) -> None:
    target = victim if exists else victim.with_name("new")
    beside(file, suffix).symlink_to(target)
    kept, checkpoint = beside(file, ".bad"), beside(file, ".checkpoint")

    done = run("ship", "--restart", "--checkpoint", checkpoint, "--bad-rows", kept, file, env=env)

    assert done.returncode == 3, done.stderr
    assert sink.stats()["actions"] == 31
    assert victim.read_text() == "PRECIOUS"
    assert list(victim.parent.iterdir()) == [victim]
    assert json.loads(checkpoint.read_bytes())["complete"] is True
    assert json.loads(kept.read_bytes())["line"] == 31
    assert mode(checkpoint) == mode(kept) == 0o600
    assert {*file.parent.iterdir()} <= {file, checkpoint, kept, victim.parent, beside(file, suffix)}


def test_bad_rows_are_not_appended_through_a_symbolic_link(
    sink: SinkProcess, env: dict[str, str], file: Path, victim: Path
) -> None:
    assert run("ship", file, env=env).returncode == 3
    beside(file, ".bad").symlink_to(victim)

    done = run("ship", "--resume", "--bad-rows", beside(file, ".bad"), file, env=env)

    assert done.returncode == 2
    assert "is a symbolic link; name the file that it leads to" in done.stderr
    assert victim.read_text() == "PRECIOUS"


def test_a_file_is_replaced_whole_and_keeps_nothing_of_a_failure(tmp_path: Path) -> None:
    file, other = tmp_path / "file", tmp_path / "other"
    file.write_text("old")
    os.link(file, other)

    write_private(file, b"new")
    with open_for_lines(file, append=True) as lines:
        lines.write("\nmore\n")

    assert (file.read_text(), other.read_text(), mode(file)) == ("new\nmore\n", "old", 0o600)
    with pytest.raises(OSError, match="Is a directory"):
        write_private(tmp_path, b"new")
    assert sorted(tmp_path.iterdir()) == [file, other]
    assert not list(tmp_path.parent.glob(".*.new"))


@pytest.mark.parametrize("place", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("redirected", [True, False])
def test_bad_rows_can_be_written_to_a_descriptor(
    sink: SinkProcess, env: dict[str, str], file: Path, place: str, redirected: bool
) -> None:
    output = file.with_name("output")
    command = f"exec {SCRIPT} ship --bad-rows {place} {file} {f'> {output}' if redirected else ''}"
    done = subprocess.run(command, shell=True, env=env, capture_output=True, check=False)

    shown = output.read_bytes() if redirected else done.stdout
    assert done.returncode == 3
    assert b'"line": 31' in shown


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--workers", "0"], 2),
        (["--no-such-option"], 2),
        (["--key", "missing"], 3),
        (["--format", "parquet"], 3),
        (["--bad-rows", "/no/such/folder/bad"], 2),
        (["no-such-file.jsonl"], 2),
    ],
)
@pytest.mark.parametrize("kept", [True, False])
def test_a_run_that_did_not_start_leaves_no_checkpoint_and_keeps_an_earlier_one(
    sink: SinkProcess,
    env: dict[str, str],
    tmp_path: Path,
    options: list[str],
    code: int,
    kept: bool,
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("what,user_key\nplay,ann\n")
    checkpoint = beside(table, ".checkpoint")
    if kept:
        checkpoint.write_text("EARLIER")
    given = ["--restart", "--checkpoint", str(checkpoint), *options]

    done = run("ship", *given, table, env=env)

    assert done.returncode == code, done.stderr
    assert sorted(tmp_path.iterdir()) == ([table, checkpoint] if kept else [table])
    assert not kept or checkpoint.read_text() == "EARLIER"
    assert sink.stats()["actions"] == 0


def test_a_client_that_cannot_be_created_leaves_no_checkpoint(
    env: dict[str, str], file: Path
) -> None:
    done = run("ship", file, env={**env, "DATAART_SPOOL_DIR": str(file)})

    assert done.returncode == 2, done.stdout
    assert list(file.parent.iterdir()) == [file]


def test_a_checkpoint_that_cannot_be_written_stops_the_run_before_its_first_event(
    sink: SinkProcess, env: dict[str, str], file: Path
) -> None:
    done = run("ship", "--checkpoint", "/no/such/folder/checkpoint", file, env=env)

    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert sink.stats()["actions"] == 0


@pytest.mark.parametrize("options", [[], ["--format", "parquet"]])
def test_a_redirected_parquet_file_is_shipped(
    sink: SinkProcess, env: dict[str, str], tmp_path: Path, options: list[str]
) -> None:
    file = tmp_path / "table"
    parquet.write_table(pyarrow.table({"key": ["k"] * 5000, "user_key": ["u"] * 5000}), file)

    with file.open("rb") as stream:
        done = subprocess.run(
            [SCRIPT, "ship", *options, "-"], stdin=stream, env=env, capture_output=True, check=False
        )
    piped = run("ship", *options, "-", stdin=file.read_bytes(), env=env)

    assert done.returncode == 0, done.stderr
    assert sink.stats()["actions"] == 5000
    assert piped.returncode == 3
    assert "<stdin>: Parquet cannot be read from a pipe; name a regular file" in piped.stderr
