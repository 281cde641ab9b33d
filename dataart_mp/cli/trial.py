"""The demo's run: flights through a real client to a real sink, which fails on the way.

    |──── a third ────|─ outage: 503 for some seconds ─|─ answers lost ─|──── the rest ────|
"""

import time
from collections.abc import Iterable
from typing import Any, Final

from dataart_mp import Client, ClientConfig
from dataart_mp.cli.audit import Audit
from dataart_mp.cli.event import Action
from dataart_mp.cli.manifest import Manifest
from dataart_mp.cli.progress import Snapshot
from dataart_mp.devsink import SinkProcess

LOST_ANSWERS: Final = 5
"""So many requests are accepted by the sink, which then hangs up instead of answering."""

_API_KEY: Final = "demo"
_BACKOFF_RATIO: Final = 0.5
_RETRIES: Final = 10  # 0.5 s + 1 s + … + 5 s: 27 s in all


class Trial:
    """Ships flights to a sink of its own, has the sink fail meanwhile, and audits what arrived.

    Args:
        flights: What to ship.
        total: How many they are.
        outage: Seconds for which the sink answers 503; 0: it does not.
        settings: Fields of the client's configuration.

    Attributes:
        seconds: From the first event to the end of the delivery.
    """

    def __init__(
        self, flights: Iterable[Action], total: int, *, outage: float, **settings: Any
    ) -> None:
        self._flights = flights
        self._total = total
        self._outage = outage
        self._settings = settings
        self._manifest = Manifest()
        self._client: Client | None = None
        self._start = 0.0
        self.seconds = 0.0

    def run(self) -> Audit:
        """Ship, wait for delivery, compare.

        Raises:
            SinkError: The sink does not start.
        """
        with SinkProcess("--id-field", "row", "--keep", "1000", "--keep-requests", "1000") as sink:
            self._ship(sink)
            return Audit(
                manifest=self._manifest,
                stats=self._stats(),
                sink=sink.stats(),
                arrivals=sink.ids(),
            )

    def look(self) -> Snapshot:
        """How far it has come."""
        if self._client is None:
            return Snapshot(done=0, total=self._total, text="starting")
        stats = self._client.stats()
        rate = stats.delivered / max(time.monotonic() - self._start, 1e-9)
        text = f"{stats.delivered:,} delivered, {rate:,.0f}/s, {stats.retries:,} retries"
        return Snapshot(done=stats.delivered, total=self._total, text=text)

    def _ship(self, sink: SinkProcess) -> None:
        config = ClientConfig(
            api_key=_API_KEY,
            base_url=sink.url,
            flush_backoff_ratio=_BACKOFF_RATIO,
            flush_num_retries=_RETRIES,
            exit_timeout=0.0,
            **self._settings,
        )
        self._start = time.monotonic()
        with Client(config) as self._client:
            self._emit_all(self._client, sink)
        self.seconds = time.monotonic() - self._start

    def _emit_all(self, client: Client, sink: SinkProcess) -> None:
        outage_at = self._total // 3
        for index, flight in enumerate(self._manifest.note(self._flights)):
            if index == outage_at:
                sink.set_faults(*self._faults())
            client.emit_action(*flight)
