"""Chromium with the sink's page in it; a plugin of the test modules."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

    from dataart_mp.devsink import SinkProcess

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# It is to talk to the sink and to nobody else.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


# A fact that does not come about; how fast it does depends on the machine.
expect.set_options(timeout=20_000)


def chromium() -> str | None:
    """The browser's program; None: there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


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


def opened(context: BrowserContext, sink: SinkProcess, complaints: list[str]) -> Page:
    """The page of a sink, when it is live."""
    context.set_default_timeout(20_000)
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(sink.url)
    page.locator("#connection[data-state=live]").wait_for()
    return page
