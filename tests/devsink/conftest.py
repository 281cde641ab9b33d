"""Fixtures for the tests of the sink: a sink, a client of it, and a browser with its page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

from dataart_mp.devsink import SinkProcess
from tests.devsink.page import FLAGS, chromium, load, opened
from tests.devsink.poster import Poster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def _shared_sink() -> Iterator[SinkProcess]:
    with SinkProcess() as sink:
        yield sink
        assert sink.log == ""


@pytest.fixture
def sink(_shared_sink: SinkProcess) -> SinkProcess:
    """A sink that has counted nothing yet."""
    _shared_sink.reset()
    return _shared_sink


@pytest.fixture
def poster(sink: SinkProcess) -> Iterator[Poster]:
    """A client of the sink."""
    poster = Poster(sink.url)
    yield poster
    poster.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = chromium()
    if program is None:
        pytest.skip("no browser: install chromium, as .ci/run does")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def _messages() -> list[str]:
    return []


@pytest.fixture
def console(_messages: list[str]) -> Iterator[list[str]]:
    """The messages that pages write to the console; there must be none at the end."""
    _messages.clear()
    yield _messages
    assert _messages == []


@pytest.fixture
def open_page(
    browser: Browser, sink: SinkProcess, console: list[str]
) -> Iterator[Callable[..., Page]]:
    """Opens the page of the sink in a separate browser context."""
    contexts = []

    def open_it(**options: object) -> Page:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        contexts.append(context)
        return opened(context, sink, console)

    yield open_it
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def desk(browser: Browser, _shared_sink: SinkProcess, _messages: list[str]) -> Iterator[Page]:
    """A tab with the size of a desktop screen."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield opened(context, _shared_sink, _messages)
    context.close()


@pytest.fixture
def page(desk: Page, sink: SinkProcess, console: list[str]) -> Page:
    """The page of the sink on a desktop screen, just loaded.

    All tests load it into one tab: the process of a new tab takes a second of CPU time to start.
    """
    load(desk, sink)
    return desk
