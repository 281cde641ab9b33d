"""The store: the kept requests and items, as the event loop uses them.

    request ─► add ─► buffer ──(100 requests, or 50 ms)──► database
                        └────(a read starts)──► thread ─► database ─► arrivals, requests

The event loop itself writes: that takes 0.5 µs per event, and half the CPU time of a writing
thread, which competes with the loop for the interpreter (measured). A read may take long, so a
thread does it, and the loop does not use the database meanwhile. A read returns everything that was
added before it started.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dataart_mp.devsink.store.database import Database
from dataart_mp.devsink.store.delivery import Delivery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dataart_mp.devsink.counters.item_counter import Duplicates
    from dataart_mp.devsink.counters.logged_request import LoggedRequest
    from dataart_mp.devsink.protocol.kind import Kind
    from dataart_mp.devsink.protocol.payload import Payload
    from dataart_mp.devsink.settings import SinkSettings
    from dataart_mp.devsink.store.delivery import Arrival
    from dataart_mp.devsink.store.query import Query

_T = TypeVar("_T")

_FLUSH_SECONDS: Final = 0.05
_FLUSH_REQUESTS: Final = 100
# Items that may be buffered during a read; with more, requests wait too.
_MAX_BUFFERED: Final = 50_000

_logger = logging.getLogger(__name__)


class Store:
    """The kept requests and items.

    Attributes:
        newest_request: Number of the newest request that an earlier run kept; 0: there is none.

    Raises:
        ValueError: The file is not the database of a sink.
    """

    def __init__(self, settings: SinkSettings) -> None:
        self._database = Database(settings)
        self._newest: dict[Kind, int] = {
            kind: self._database.newest(kind) for kind in ("actions", "identities")
        }
        self.newest_request = self._database.newest_request
        self._requests: list[LoggedRequest] = []
        self._deliveries: list[Delivery] = []
        self._buffered = 0
        self._timer: asyncio.TimerHandle | None = None
        self._reads: set[asyncio.Future[Any]] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")

    def delivery(
        self, logged: LoggedRequest, payload: Payload, duplicates: Duplicates, time: float
    ) -> Delivery:
        """Number the items of an accepted request, and return them as a delivery."""
        self._newest[payload.kind] += len(payload.items)
        last = self._newest[payload.kind]
        return Delivery(payload.kind, last, time, logged.number, duplicates, payload.encoded)

    def add(self, logged: LoggedRequest, delivery: Delivery | None) -> None:
        """Keep a request that has ended, and its items if it was accepted."""
        self._buffer(logged, delivery)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._flush)
        elif len(self._requests) >= _FLUSH_REQUESTS:
            self._flush()

    async def wait_for_room(self) -> None:
        """Wait while a read blocks writes and the buffer is full; usually it is not."""
        while self._buffered > _MAX_BUFFERED and self._reads:
            await asyncio.wait(self._reads)

    def load(self, accepted: Iterator[tuple[LoggedRequest, Payload, Duplicates]]) -> None:
        """Keep accepted requests; call it before the event loop runs."""
        for logged, payload, duplicates in accepted:
            self._buffer(logged, self.delivery(logged, payload, duplicates, logged.time))
            if self._buffered > _MAX_BUFFERED:
                self._database.write(*self._drain())
        self._database.write(*self._drain())

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield what an earlier run kept, as journal entries; call it before the loop runs."""
        self._database.prune()
        return self._database.entries()

    async def arrivals(self, query: Query) -> list[Arrival]:
        """Return the newest items that match, oldest first."""
        return await self._read(lambda: self._database.select(query))

    async def search(self, query: Query) -> tuple[list[Arrival], int | None]:
        """Return the newest items that match, and the number of all that match, if it is known.

        It returns exactly what was added until the call, not until the first await.
        """
        return await self._read(lambda: self._database.search(query))

    async def requests(self, limit: int) -> list[dict[str, Any]]:
        """Return the newest requests that have ended, oldest first."""
        return await self._read(lambda: self._database.requests(limit))

    async def rejected(self, limit: int, number: int | None = None) -> list[dict[str, Any]]:
        """Return the newest wrong requests with their bodies, oldest first."""
        return await self._read(lambda: self._database.rejected(limit, number))

    async def clear(self) -> None:
        """Delete everything that was added until now."""
        self._drain()
        self._newest = dict.fromkeys(self._newest, 0)
        await self._read(self._database.clear)

    def close(self) -> None:
        """Write the buffer and close the database; call it after the event loop has ended."""
        self._thread.shutdown()
        self._write(*self._drain())
        self._database.close()

    def _buffer(self, logged: LoggedRequest, delivery: Delivery | None) -> None:
        self._requests.append(logged)
        if delivery is not None:
            self._deliveries.append(delivery)
            self._buffered += len(delivery)

    def _drain(self) -> tuple[list[LoggedRequest], list[Delivery]]:
        """Empty the buffer, and return what it contained."""
        drained = self._requests, self._deliveries
        self._requests, self._deliveries, self._buffered = [], [], 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return drained

    def _flush(self) -> None:
        # During a read, the buffer is written when the read ends.
        if not self._reads:
            self._write(*self._drain())

    def _write(self, requests: list[LoggedRequest], deliveries: list[Delivery]) -> None:
        if not requests:
            return
        try:
            self._database.write(requests, deliveries)
        except sqlite3.Error as error:
            # The disk may be full: the sink continues to count, and shows what it has.
            _logger.error("the database cannot be written: %s", error)  # noqa: TRY400

    async def _read(self, query: Callable[[], _T]) -> _T:
        requests, deliveries = self._drain()

        def write_then_query() -> _T:
            self._write(requests, deliveries)
            return query()

        read = asyncio.wrap_future(self._thread.submit(write_then_query))
        self._reads.add(read)
        read.add_done_callback(self._read_ended)
        # The client may disconnect; the thread continues, and uses the database until it is done.
        return await asyncio.shield(read)

    def _read_ended(self, read: asyncio.Future[Any]) -> None:
        self._reads.discard(read)
        self._flush()
