"""Chromium with the sink's page in it; a plugin of the test modules."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

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


def opened(context: BrowserContext, sink: SinkProcess, complaints: list[str]) -> Page:
    """The page of a sink, when it is live."""
    context.set_default_timeout(20_000)
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(sink.url)
    page.locator("#connection[data-state=live]").wait_for()
    return page
