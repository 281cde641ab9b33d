"""A local stand-in of the DataArt platform, and an independent witness of what reaches it.

It imports nothing of the shipper: what it says about a request, it read in the wire protocol.

    POST {prefix}/events/send-actions ─┐
    POST {prefix}/users/identify ──────┴► head ─► body ─► shape ─► faults ─► ledger ─► answer
                                           │       │       │         │         ├─► journal (option)
                                           └───────┴───────┴─► 4xx   │         ├─► store ─► database
                                                                     │         └─► live ─► stream
                                                                     └─► 503, hang, disconnect, …
    GET  /_sink/stats, ids ─► what the ledger knows
    GET  /_sink/events, identities, arrivals, requests, rejected ─► what the store keeps
    GET  / ─► the page in page/, which reads GET /_sink/live, the stream
    PUT  /_sink/faults · POST /_sink/reset · all of it in /_sink/openapi.json

A wrong request is a 4xx whatever the faults say; an item counts as arrived when, and only when,
the sink decided to answer its request with a 2xx. Counts are made before the answer is sent: who
has the answer sees itself counted.
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
    """Serve until SIGTERM or SIGINT; must be called from the main thread.

    Args:
        settings: Where to listen and what to remember; None: the defaults.
        on_ready: Called with the sink's URL as soon as it listens.

    Raises:
        OSError: The address cannot be bound, or the journal cannot be opened.
        ValueError: The journal is not one.
        ModuleNotFoundError: The extra `sink` is not installed.
    """
    # Not at the top: SinkProcess must work where only the child has the extra installed.
    from dataart_mp.devsink.server import serve

    serve(settings or SinkSettings(), on_ready)
