"""What an open page is told: server-sent events.

hello   what there is: the newest items, wrong requests and counts
news    what is new, at most ten times a second
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import orjson

from dataart_mp.devsink.rate import KEPT_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from dataart_mp.devsink.delivery import Arrival
    from dataart_mp.devsink.query import Query
    from dataart_mp.devsink.sink import Sink

# How soon a page whose sink has gone looks for it again, in milliseconds.
_RETRY: Final = b"retry: 1000\n\n"
_NEWS_SECONDS: Final = 0.1
_SHOWN_REJECTED: Final = 100
_SHOWN_KEYS: Final = 50
_RECENT_SECONDS: Final = 3


async def stream(sink: Sink, query: Query) -> AsyncIterator[bytes]:
    """Tell of the items that match, and of all else, until the page is closed."""
    # Watched from before the look into the store: what arrives in between is told twice, not never.
    with sink.live.watch(query) as viewer:
        yield _RETRY
        yield await _hello(sink, query)
        while True:
            await viewer.waiting.wait()
            news = viewer.take(time.monotonic())
            about = {
                "matched": news.matched,
                "reset": news.is_reset,
                "rejected": [visit.as_json() for visit in news.rejected],
                "rate": sink.rate.since(time.time() - _RECENT_SECONDS),
                **_state(sink),
            }
            yield _message("news", about, news.arrivals)
            await asyncio.sleep(_NEWS_SECONDS)


async def _hello(sink: Sink, query: Query) -> bytes:
    arrivals = await sink.store.arrivals(query)
    rejected = await sink.store.rejected(_SHOWN_REJECTED)
    about = {
        "any_key": sink.settings.api_key is None,
        "keep": sink.settings.keep,
        "rejected": rejected,
        "rate": sink.rate.since(time.time() - KEPT_SECONDS),
        **_state(sink),
    }
    return _message("hello", about, arrivals)


def _state(sink: Sink) -> dict[str, Any]:
    stats = sink.ledger.stats()
    by_key = sink.ledger.most_common_keys(_SHOWN_KEYS)
    return {
        "now": time.time(),
        "stats": {**stats, "by_key": by_key},
        "keys": len(stats["by_key"]),
        "faults": sink.faults.as_json(),
    }


def _message(name: str, about: dict[str, Any], arrivals: Iterable[Arrival]) -> bytes:
    # JSON written by orjson has no newline, which would end the line of data.
    items = b",".join(arrival.as_json() for arrival in arrivals)
    data = b'%b,"arrivals":[%b]}' % (orjson.dumps(about)[:-1], items)
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
