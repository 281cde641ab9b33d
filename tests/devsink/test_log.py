"""What a request contains cannot control the terminal in which the sink runs."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st

from dataart_mp.devsink import SinkError, SinkProcess
from dataart_mp.devsink.log import LOGGING, PrintableFormatter, printable
from tests.devsink.poster import ACTIONS, Poster, action, actions

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "\x1b]0;title\x07\x1b[2J\r\nERROR: fake\u202e\u2028\x9b31m\udc80"


@given(st.text(st.characters()))
def test_only_printable_characters_remain(text: str) -> None:
    assert printable(text).isprintable()
    assert printable("plain text, ünïcode 😀") == "plain text, ünïcode 😀"


def fail() -> None:
    raise ValueError(EVIL)


def test_a_message_is_one_line_and_its_traceback_is_indented() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PrintableFormatter("%(levelname)s: %(message)s"))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    try:
        fail()
    except ValueError:
        logger.exception("a problem: %s", EVIL)
    first, *others = stream.getvalue().removesuffix("\n").split("\n")
    assert first.startswith("ERROR: a problem: \\x1b]0;title")
    assert all(line.startswith("    ") and line.isprintable() for line in others)
    assert first.isprintable()


def test_every_logger_of_the_server_uses_that_format() -> None:
    assert {"asyncio", "dataart_mp.devsink", "uvicorn"} == set(LOGGING["loggers"])
    uvicorn.Config(lambda: None, log_config=LOGGING)
    for name in ("asyncio", "dataart_mp.devsink.store.store", "uvicorn.error"):
        logger = logging.getLogger(name)
        while not logger.handlers and logger.parent is not None:
            logger = logger.parent
        assert [type(one.formatter) for one in logger.handlers] == [PrintableFormatter], name


@pytest.fixture(autouse=True)
def _restored_loggers() -> object:
    """Remove the handlers that a test has installed."""
    yield
    for name in LOGGING["loggers"]:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)


def test_hostile_requests_write_nothing_to_the_terminal() -> None:
    evil = EVIL.encode("utf-8", "surrogatepass")
    with SinkProcess() as sink:
        poster = Poster(sink.url)
        poster.post(actions(action(key=EVIL[:-1], metadata={EVIL[:-1]: EVIL[:-1]})))
        poster.post(actions(action(**{EVIL[:-1]: 1})))
        for head in (
            b"GET /%b HTTP/1.1\r\n\r\n",
            b"%b / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\n%b\r\n\r\n",
        ):
            poster.raw(head % evil, half_close=True)
        poster.raw(
            b"POST %b?%%1b%%0a HTTP/1.1\r\nHost: %%1b\r\nConnection: close\r\n\r\n"
            % ACTIONS.encode()
        )
        poster.raw(b"GET / HTTP/1.1\r\nUpgrade: \x1b\r\nConnection: upgrade, close\r\n\r\n")
        poster.close()
        assert sink.log == ""


def test_the_error_of_a_query_shows_escapes() -> None:
    with SinkProcess() as sink, pytest.raises(SinkError) as caught:
        sink.events(key="\x1b\u202e" * 1000)
    assert str(caught.value).isprintable()


def test_the_error_about_a_file_shows_escapes(tmp_path: Path) -> None:
    folder = tmp_path / "a\x1b[2J\nb"
    folder.mkdir()
    command = (sys.executable, "-m", "dataart_mp.devsink", "--port", "0", "--journal", str(folder))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.removesuffix("\n").isprintable()
