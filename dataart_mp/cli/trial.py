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
from dataart_mp.stats import Stats

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
            stats = self._ship(sink)
            return Audit(
                manifest=self._manifest, stats=stats, sink=sink.stats(), arrivals=sink.ids()
            )

    def look(self) -> Snapshot:
        """How far it has come."""
        if self._client is None:
            return Snapshot(done=0, total=self._total, text="starting")
        stats = self._client.stats()
        rate = stats.delivered / max(time.monotonic() - self._start, 1e-9)
        text = f"{stats.delivered:,} delivered, {rate:,.0f}/s, {stats.retries:,} retries"
        return Snapshot(done=stats.delivered, total=self._total, text=text)

    def _ship(self, sink: SinkProcess) -> Stats:
        config = ClientConfig(
            api_key=_API_KEY,
            base_url=sink.url,
            flush_backoff_ratio=_BACKOFF_RATIO,
            flush_num_retries=_RETRIES,
            exit_timeout=0.0,
            **self._settings,
        )
        self._start = time.monotonic()
        self._client = client = Client(config)
        try:
            self._emit_all(client, sink)
            client.close()
        except BaseException:
            # Ctrl-C: nobody waits for the end of the outage.
            client.close(0)
            raise
        self.seconds = time.monotonic() - self._start
        return client.stats()

    def _emit_all(self, client: Client, sink: SinkProcess) -> None:
        bad_luck = self._total // 3 if self._outage else None
        for index, flight in enumerate(self._manifest.note(self._flights)):
            if index == bad_luck:
                sink.set_faults(
                    {"kind": "status", "status": 503, "for_seconds": self._outage},
                    {"kind": "ack_lost", "times": LOST_ANSWERS},
                )
            client.emit_action(*flight)
