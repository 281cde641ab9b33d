"""Takes the screenshots of the live page for the README; run by scripts/screenshots."""

from __future__ import annotations

import random
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

from dataart_mp.devsink import SinkProcess
from tests.devsink.page import FLAGS, chromium
from tests.devsink.poster import ACTIONS, IDENTITIES, Poster, actions

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

KEYS = {"song-played": 9, "song-skipped": 4, "search": 5, "playlist-created": 2, "signed-up": 1}
USERS = ("ann", "bob", "carla", "dmitri", "a3f9c1")
SECONDS = 75
DESK = {"width": 1440, "height": 860}
PHONE = {"width": 390, "height": 844}


def event(rng: random.Random, age: float = 0.0) -> dict[str, Any]:
    """Return an event of a music player."""
    user = rng.choice(USERS)
    moment = datetime.now(UTC) - timedelta(seconds=age + rng.random() / 50)
    song = {"song": rng.randrange(10_000), "seconds": round(rng.random() * 300, 1)}
    [key] = rng.choices(list(KEYS), list(KEYS.values()))
    metadata = {
        "song-played": {**song, "device": {"os": "android", "version": [14, 0, 2]}},
        "song-skipped": {**song, "reason": rng.choice(["next", "dislike"])},
        "search": {"text": rng.choice(["nina simone", "bach", "kraftwerk"]), "hits": 12},
        "playlist-created": {"name": "Sunday", "songs": [7, 1301, 42]},
        "signed-up": {"plan": rng.choice(["free", "family"]), "referrer": None},
    }[key]
    return {
        "key": key,
        "user_key": user,
        "is_anonymous_user": user == "a3f9c1",
        "timestamp": moment.isoformat(),
        "metadata": metadata,
    }


def play(poster: Poster, seconds: float) -> None:
    """Send events at a changing rate for some seconds, with a few duplicates and wrong requests."""
    rng = random.Random(7)
    start = time.monotonic()
    while (passed := time.monotonic() - start) < seconds:
        size = rng.randrange(1, 3 + int(6 * (1 + passed % 20 / 10)))
        batch = actions(*(event(rng) for _ in range(size)))
        poster.post(batch, ACTIONS, headers={"Idempotency-Key": str(passed)})
        if rng.random() < 0.02:
            poster.post(batch, ACTIONS, headers={"Idempotency-Key": str(passed)})
        if rng.random() < 0.02:
            poster.post(actions({**event(rng), "timestamp": "yesterday"}))
        if rng.random() < 0.03:
            poster.post({"user_key": rng.choice(USERS), "metadata": {"plan": "free"}}, IDENTITIES)
        time.sleep(rng.random() / 4)


def opened(browser: Browser, url: str, size: dict[str, int], scheme: Any) -> Page:
    """Open the page at a size, in light or dark."""
    scale = 2 if size is PHONE else 1
    context = browser.new_context(
        viewport=size,  # type: ignore[arg-type]
        color_scheme=scheme,
        device_scale_factor=scale,
    )
    page = context.new_page()
    page.goto(url)
    page.locator("#connection[data-state=live]").wait_for()
    return page


def main(folder: Path) -> None:
    """Write the screenshots to a folder."""
    folder.mkdir(exist_ok=True)
    with SinkProcess(port=8765) as sink, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        empty = opened(browser, sink.url, DESK, "light")
        empty.screenshot(path=folder / "sink-empty.png")
        poster = Poster(sink.url)
        play(poster, SECONDS)
        desks = {scheme: opened(browser, sink.url, DESK, scheme) for scheme in ("light", "dark")}
        phone = opened(browser, sink.url, PHONE, "dark")
        play(poster, 5)
        for scheme, page in desks.items():
            page.locator("#arrivals button", has_text="song-played").nth(2).click()
            page.wait_for_timeout(1500)  # until the animation of new rows has ended
            page.screenshot(path=folder / f"sink-{scheme}.png")
        phone.screenshot(path=folder / "sink-phone.png")
        poster.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
