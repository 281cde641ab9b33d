"""What is kept, behind the event loop: requests hand over, a thread of its own writes and reads.

    request ─► add ─► batch ══(every 50 ms, or when it is asked)══► thread ─► database
                                        arrivals, visits ◄════════════┘

What was added before a question was asked is in its answer.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dataart_mp.devsink.database import Database
from dataart_mp.devsink.delivery import Delivery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dataart_mp.devsink.delivery import Arrival
    from dataart_mp.devsink.head import Kind
    from dataart_mp.devsink.parcel import Parcel
    from dataart_mp.devsink.query import Query
    from dataart_mp.devsink.settings import SinkSettings
    from dataart_mp.devsink.tally import Doubles
    from dataart_mp.devsink.visit import Visit

_T = TypeVar("_T")

_BATCH_SECONDS: Final = 0.05
# Items that may wait for the thread; beyond, requests wait for it, too.
_MOST_WAITING: Final = 50_000

_logger = logging.getLogger(__name__)


class Store:
    """The kept requests and items.

    Raises:
        ValueError: The file is no sink's database.
    """

    def __init__(self, settings: SinkSettings) -> None:
        self._database = Database(settings)
        self._newest: dict[Kind, int] = {
            kind: self._database.newest(kind) for kind in ("actions", "identities")
        }
        self.newest_request = self._database.newest_request
        self._visits: list[Visit] = []
        self._deliveries: list[Delivery] = []
        self._waiting = 0
        self._timer: asyncio.TimerHandle | None = None
        self._written: asyncio.Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")

    def delivery(self, visit: Visit, parcel: Parcel, doubles: Doubles, time: float) -> Delivery:
        """Number the items of a request that is accepted."""
        self._newest[parcel.kind] += len(parcel.items)
        last = self._newest[parcel.kind]
        return Delivery(parcel.kind, last, time, visit.number, doubles, parcel.encoded)

    def add(self, visit: Visit, delivery: Delivery | None) -> None:
        """Keep a request that has ended, and what it brought."""
        self._hold(visit, delivery)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_BATCH_SECONDS, self._hand_over)

    async def room(self) -> None:
        """Wait while the thread is far behind; usually it is not."""
        while self._waiting > _MOST_WAITING:
            self._hand_over()
            if self._written is not None:
                await asyncio.wait([self._written])

    def load(self, accepted: Iterator[tuple[Visit, Parcel, Doubles]]) -> None:
        """Keep these, too; before the loop runs."""
        for visit, parcel, doubles in accepted:
            self._hold(visit, self.delivery(visit, parcel, doubles, visit.time))
            if self._waiting > _MOST_WAITING:
                self._write()
        self._write()

    def entries(self) -> Iterator[dict[str, Any]]:
        """What an earlier run kept, as a journal would say it; before the loop runs."""
        self._database.prune()
        return self._database.entries()

    async def arrivals(self, query: Query) -> list[Arrival]:
        """The newest items that match, oldest first."""
        return await self._ask(lambda: self._database.select(query))

    async def requests(self, limit: int) -> list[dict[str, Any]]:
        """The newest requests that have ended, oldest first."""
        return await self._ask(lambda: self._database.visits("requests", limit))

    async def rejected(self, limit: int) -> list[dict[str, Any]]:
        """The newest wrong requests, oldest first."""
        return await self._ask(lambda: self._database.visits("rejected", limit))

    async def clear(self) -> None:
        """Forget everything that was added until now."""
        _, deliveries = self._taken()
        self._waiting -= sum(map(len, deliveries))
        self._newest = dict.fromkeys(self._newest, 0)
        await self._ask(self._database.clear)

    def close(self) -> None:
        """Write what waits, and close; after the loop has ended."""
        self._thread.shutdown()
        self._write()
        self._database.close()

    def _hold(self, visit: Visit, delivery: Delivery | None) -> None:
        self._visits.append(visit)
        if delivery is not None:
            self._deliveries.append(delivery)
            self._waiting += len(delivery)

    def _taken(self) -> tuple[list[Visit], list[Delivery]]:
        taken = self._visits, self._deliveries
        self._visits, self._deliveries = [], []
        return taken

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._visits:
            loop = asyncio.get_running_loop()
            visits, deliveries = self._taken()
            size = sum(map(len, deliveries))
            self._written = loop.run_in_executor(
                self._thread, self._database.write, visits, deliveries
            )
            self._written.add_done_callback(lambda written: self._settle(written, size))

    def _settle(self, written: asyncio.Future[None], size: int) -> None:
        self._waiting -= size
        # A disk may be full: the sink counts on, and shows what it has.
        if not written.cancelled() and (error := written.exception()) is not None:
            _logger.error("the database does not take what arrived: %s", error)

    def _write(self) -> None:
        visits, deliveries = self._taken()
        self._database.write(visits, deliveries)
        self._waiting -= sum(map(len, deliveries))

    async def _ask(self, question: Callable[[], _T]) -> _T:
        self._hand_over()
        return await asyncio.get_running_loop().run_in_executor(self._thread, question)
