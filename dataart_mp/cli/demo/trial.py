"""The demo's run: flights go through a real client to a real sink that fails midway.

|── a third of the flights ──|─ outage: 503 for some seconds ─|─ responses lost ─|── the rest ──|
"""

import time
from collections.abc import Iterable
from typing import Any, Final

from dataart_mp import Client, ClientConfig
from dataart_mp.cli.demo.audit import Audit
from dataart_mp.cli.demo.manifest import Manifest
from dataart_mp.cli.progress import Snapshot
from dataart_mp.devsink import SinkProcess
from dataart_mp.stats import Stats
from dataart_mp.table.event import Action

LOST_RESPONSES: Final = 5
"""Number of requests that the sink accepts and then closes the connection instead of responding."""

_API_KEY: Final = "demo"
_BACKOFF_RATIO: Final = 0.5
_START_SECONDS: Final = 30.0
_RETRIES: Final = 10  # 0.5 s + 1 s + … + 5 s: 27 s in all


class Trial:
    """Starts a sink, ships flights to it, makes it fail midway, and audits the arrivals.

    Args:
        flights: The flights to ship.
        total: Number of flights.
        outage: Seconds for which the sink responds with status 503; 0: no faults.
        **settings: Fields of the client's configuration.

    Attributes:
        seconds: Seconds from the first event to the end of the delivery.
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
        """Ship the flights, wait for their delivery, and audit the arrivals.

        Raises:
            SinkError: The sink does not start.
        """
        with SinkProcess("--id-field", "row", "--keep", "1000", "--keep-requests", "1000") as sink:
            stats = self._ship(sink)
            return Audit(
                manifest=self._manifest, stats=stats, sink=sink.stats(), arrivals=sink.ids()
            )

    def snapshot(self) -> Snapshot:
        """Return the progress of the delivery; any thread may call this."""
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
            # After Ctrl-C the command must not wait for the end of the outage.
            client.close(0)
            raise
        self.seconds = time.monotonic() - self._start
        return client.stats()

    def _emit_all(self, client: Client, sink: SinkProcess) -> None:
        outage_start = self._total // 3 if self._outage else None
        for index, flight in enumerate(self._manifest.record(self._flights)):
            if index == outage_start:
                # On a busy machine the workers would start when the outage is over.
                client.flush(_START_SECONDS)
                sink.set_faults(
                    {"kind": "status", "status": 503, "for_seconds": self._outage},
                    {"kind": "ack_lost", "times": LOST_RESPONSES},
                )
            client.emit_action(*flight)
