"""The stream of server-sent events for an open page.

snapshot   the newest items and wrong requests, and all counts: the first event
update     what has changed since the last event, at most ten times per second
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from dataart_mp.devsink.http.rejection import RejectionError
from dataart_mp.devsink.live.rate import KEPT_SECONDS
from dataart_mp.devsink.protocol.exact_json import dumps

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from dataart_mp.devsink.live.viewers import Viewer
    from dataart_mp.devsink.sink import Sink
    from dataart_mp.devsink.store.delivery import Arrival
    from dataart_mp.devsink.store.query import Query

# Milliseconds after which a page reconnects to a sink that has stopped.
_RETRY: Final = b"retry: 1000\n\n"
_UPDATE_SECONDS: Final = 0.1
_SHOWN_REJECTED: Final = 100
_SHOWN_KEYS: Final = 50
_RECENT_SECONDS: Final = 3


async def stream(sink: Sink, query: Query) -> AsyncIterator[bytes]:
    """Yield events with the items that match, and with all counts, until the page is closed."""
    # Subscribed before the store is read: an item that arrives in between is sent twice, not never.
    with sink.viewers.subscribed(query) as viewer:
        yield _RETRY
        yield await _snapshot(sink, query, viewer)
        while True:
            await viewer.has_update.wait()
            update = viewer.take(time.monotonic())
            about = {
                "matched": update.matched,
                "reset": update.is_reset,
                "rejected": [logged.as_json() for logged in update.rejected],
                "rate": sink.rate.since(time.time() - _RECENT_SECONDS),
                **_state(sink),
            }
            yield _event("update", about, update.arrivals)
            await asyncio.sleep(_UPDATE_SECONDS)


async def _snapshot(sink: Sink, query: Query, viewer: Viewer) -> bytes:
    arrivals: list[Arrival] = []
    matched: int | None = None
    problem = None
    # The search finds what has arrived until now, and would count it a second time.
    viewer.skip_arrivals()
    try:
        arrivals, matched = await sink.store.search(query)
    except RejectionError as error:  # the search took too long
        problem = str(error)
    rejected = await sink.store.rejected(_SHOWN_REJECTED)
    for request in rejected:
        del request["body"]  # the page asks for that of the request it shows
    about = {
        "any_key": sink.settings.api_key is None,
        "keep": sink.settings.keep,
        "problem": problem,
        "matched": matched,
        "rejected": rejected,
        "rate": sink.rate.since(time.time() - KEPT_SECONDS),
        **_state(sink),
    }
    return _event("snapshot", about, arrivals)


def _state(sink: Sink) -> dict[str, Any]:
    stats = sink.counters.stats()
    by_key = sink.counters.most_common_keys(_SHOWN_KEYS)
    return {
        "now": time.time(),
        "stats": {**stats, "by_key": by_key},
        "keys": len(stats["by_key"]),
        "faults": sink.faults.as_json(),
    }


def _event(name: str, about: dict[str, Any], arrivals: Iterable[Arrival]) -> bytes:
    # JSON written by orjson has no newline, which would end the line of data.
    items = b",".join(arrival.as_json() for arrival in arrivals)
    data = b'%b,"arrivals":[%b]}' % (dumps(about)[:-1], items)
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
