"""Chromium, and the sink's page in it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

    from dataart_mp.devsink import SinkProcess

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Chromium must only connect to the sink.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


# Long, because the speed depends on the machine; only a test that fails waits so long.
expect.set_options(timeout=20_000)


def chromium() -> str | None:
    """Return the browser's program; None: it is not installed."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def opened(context: BrowserContext, sink: SinkProcess, console: list[str]) -> Page:
    """Open the page of a sink in a new tab, and wait until it is live.

    Args:
        context: Where the tab is opened.
        sink: The sink.
        console: Receives what the page writes to the console.
    """
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.on("console", lambda message: console.append(message.text))
    page.on("pageerror", lambda error: console.append(str(error)))
    load(page, sink)
    return page


def load(page: Page, sink: SinkProcess) -> None:
    """Load the page of a sink into a tab, and wait until it is live."""
    page.goto(sink.url)
    page.locator("#connection[data-state=live]").wait_for()
