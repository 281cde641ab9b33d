"""No mistake of a user ends in a traceback: neither wrong arguments nor bad files."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataart_mp.cli.app import app
from dataart_mp.cli.exit_code import ExitCode

# Option values with which no command can start.
_TYPED = st.sampled_from(
    [
        "",
        "-1",
        "0",
        "x",
        "1e999",
        "NaN",
        "/",
        "/dev/null",
        "no-such-file",
        "a=b",
        "ä\udcff",
        "%",
        ",",
    ]
) | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
_TO_READ = st.sampled_from(["jsonl", "csv", "tsv", "parquet", "gz", "zst", "checkpoint"])
_STARTS = st.sampled_from(
    [b"", b"PAR1", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b'{"key":"k",', b'a,b\n"']
)


def commands(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command with its name, which is several words for a nested one."""
    for name in group.commands:
        _, command, _ = group.resolve_command(click.Context(group), [name])
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield (*path, name), command


ALL = list(commands(app))

# The examples are the same in every run; `place` is only a directory.
_many = settings(
    max_examples=80,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory that contains an action, an identity and a key."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "key").write_text("secret")
    (folder / "action").write_text('{"key":"k","user_key":"u"}\n')
    (folder / "identity").write_text('{"user_key":"u"}\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("DATAART_API_KEY", "DATAART_BASE_URL"):
            patch.delenv(name, raising=False)
        yield folder


# The last arguments of each command: with them it ends after parsing its options.
_ENDINGS = {
    ("ship",): ("--dry-run", "action"),
    ("doctor",): ("--no-event", "--base-url", "http://127.0.0.1:9", "--api-key-file", "key"),
    ("sink",): ("--journal", "/no/such/folder/journal"),
    ("demo",): ("--flights", "identity"),
    ("flights",): ("--cache-dir", "/dev/null/x"),
    ("spool", "ls"): (".",),
    ("spool", "show"): (".",),
    ("spool", "replay"): (".",),
    ("spool", "purge"): (".", "no-such-name"),
    ("completion",): ("bash",),
    ("version",): (),
}


@st.composite
def wrong_arguments(draw: st.DrawFn) -> list[str]:
    """Generate a command, and some of its options with arbitrary values."""
    path, command = draw(st.sampled_from(ALL))
    words = list(path)
    options = [option for option in command.params if isinstance(option, click.Option)]
    for option in draw(st.lists(st.sampled_from(options), max_size=3)) if options else ():
        words.append(draw(st.sampled_from(option.opts)))
        if not option.is_flag:
            words.append(draw(_TYPED))
    return [*words, *_ENDINGS.get(path, ("--no-such-option",))]


def output_of(arguments: list[str], allowed: set[ExitCode]) -> str:
    """Run a command in this process, and return its output; fails on other exit codes."""
    result = CliRunner().invoke(app, arguments, prog_name="dataart-mp")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception  # a user would see a traceback
    assert result.exit_code in allowed, result.output
    return result.output


@_many
@given(wrong_arguments())
def test_wrong_arguments_of_any_command_are_reported(place: Path, arguments: list[str]) -> None:
    output_of(arguments, set(ExitCode))


@_many
@given(
    start=_STARTS, rest=st.binary(max_size=200), suffix=_TO_READ, flags=st.lists(_TYPED, max_size=2)
)
def test_any_content_of_a_file_is_at_worst_bad_input(
    place: Path, start: bytes, rest: bytes, suffix: str, flags: list[str]
) -> None:
    file = place / f"input.{suffix}"
    file.write_bytes(start + rest)
    options = [f"--{name}={text}" for name, text in zip(("key", "user-key"), flags, strict=False)]

    output = output_of(
        ["ship", "--dry-run", *options, str(file)], {ExitCode.OK, ExitCode.BAD_INPUT}
    )

    assert "would be shipped" in output


@pytest.mark.parametrize(
    "arguments",
    [
        "ship --bad-rows /no/such/folder/bad.jsonl action",
        "ship --checkpoint /no/such/folder/checkpoint action",
        "ship --resume /dev/null",
        "ship --resume --restart action",
        "ship action ./action",
        "ship no-such-command",
        "no-such-command",
        "sink --journal /no/such/folder/journal",
        "flights --cache-dir /dev/null/x",
        "spool ls action",
        "completion powershell",
        "doctor --timeout 0",
        "doctor --timeout inf",
        "doctor --timeout nan",
        "ship --timeout 1e300 action",
        "demo --outage nan",
    ],
)
def test_an_impossible_request_is_reported_without_a_traceback(
    place: Path, arguments: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATAART_API_KEY", "k")
    monkeypatch.setenv("DATAART_BASE_URL", "http://127.0.0.1:9")

    assert output_of(arguments.split(), {ExitCode.USAGE})
