"""A sink for the sink's own tests, a client of it, and a browser with its page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

from dataart_mp.devsink import SinkProcess
from tests.devsink.page import FLAGS, chromium, opened
from tests.devsink.poster import Poster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext, Page


@pytest.fixture(scope="session")
def _witness() -> Iterator[SinkProcess]:
    with SinkProcess() as sink:
        yield sink
        assert sink.log == ""


@pytest.fixture
def witness(_witness: SinkProcess) -> SinkProcess:
    """A sink that has seen nothing yet."""
    _witness.reset()
    return _witness


@pytest.fixture
def poster(witness: SinkProcess) -> Iterator[Poster]:
    """A client of the witness."""
    poster = Poster(witness.url)
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


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What pages write to the console; in the end there must be nothing."""
    complaints: list[str] = []
    yield complaints
    assert complaints == []


@pytest.fixture
def open_page(
    browser: Browser, witness: SinkProcess, complaints: list[str]
) -> Iterator[Callable[..., Page]]:
    """Opens the page of the witness in a browser of its own."""
    contexts = []

    def open_it(**options: object) -> Page:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        contexts.append(context)
        return opened(context, witness, complaints)

    yield open_it
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def desk(browser: Browser) -> Iterator[BrowserContext]:
    """A browser on a desk."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context
    context.close()


@pytest.fixture
def page(desk: BrowserContext, witness: SinkProcess, complaints: list[str]) -> Iterator[Page]:
    """The page of the witness, on a desk."""
    page = opened(desk, witness, complaints)
    yield page
    page.close()
