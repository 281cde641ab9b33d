"""A local stand-in of the DataArt platform, which checks and counts what reaches it.

It imports nothing of the shipper, so it knows the wire protocol from its specification only.

    POST …/events/send-actions ─┐
    POST …/users/identify ──────┴► head ─► body ─► shape ─► faults ─► counters ─► response
                                    │       │       │         │          ├─► journal
                                    └───────┴───────┴─► 4xx   │          ├─► store ─► database
                                                              │          └─► viewers ─► page
                                                              └─► 503, hang, disconnect, …
    GET  /_sink/stats, ids ─► counters
    GET  /_sink/events, identities, arrivals, requests, rejected ─► store
    GET  / ─► the page in page/static/, which reads the stream GET /_sink/live
    PUT  /_sink/faults · POST /_sink/reset · described by /_sink/openapi.json

A wrong request is a 4xx whatever the fault rules are. An item counts as arrived exactly if the sink
decided to respond to its request with a 2xx. Requests are counted before the response is sent, so
that a client with a response finds itself in the counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataart_mp.devsink.process import SinkError, SinkProcess
from dataart_mp.devsink.settings import SinkSettings
from dataart_mp.devsink.stats import SinkStats

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SinkError", "SinkProcess", "SinkSettings", "SinkStats", "run"]


def run(
    settings: SinkSettings | None = None, on_ready: Callable[[str], object] | None = None
) -> None:
    """Run a sink until SIGTERM or SIGINT; must be called from the main thread.

    Args:
        settings: Settings of the sink; None: the defaults.
        on_ready: Called with the sink's URL as soon as it listens.

    Raises:
        OSError: The address cannot be bound, or the journal cannot be opened.
        ValueError: The journal or the database is a file of another program.
        ModuleNotFoundError: The extra `sink` is not installed.
    """
    # Not at the top: importing SinkProcess must not require the extra.
    from dataart_mp.devsink.server import serve

    serve(settings or SinkSettings(), on_ready)
