"""What is kept, behind the event loop.

    request ─► add ─► batch ──(100 requests, or 50 ms)──► database
                        └───(it is asked)──► thread ─► database ─► arrivals, visits

The loop itself writes: that takes 0.5 µs an event, and twice the processor's time, measured, when a
thread does it that fights with the loop for the interpreter. A question may take long; a thread
answers it, and the loop lets the database alone meanwhile. What was added before a question was
asked is in its answer.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
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
_BATCH_REQUESTS: Final = 100
# Items that may wait while a question is answered; beyond, requests wait, too.
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
        self._questions: set[asyncio.Future[Any]] = set()
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
            self._timer = asyncio.get_running_loop().call_later(_BATCH_SECONDS, self._flush)
        elif len(self._visits) >= _BATCH_REQUESTS:
            self._flush()

    async def room(self) -> None:
        """Wait while too much waits for the answer to a question; usually nothing does."""
        while self._waiting > _MOST_WAITING and self._questions:
            await asyncio.wait(self._questions)

    def load(self, accepted: Iterator[tuple[Visit, Parcel, Doubles]]) -> None:
        """Keep these, too; before the loop runs."""
        for visit, parcel, doubles in accepted:
            self._hold(visit, self.delivery(visit, parcel, doubles, visit.time))
            if self._waiting > _MOST_WAITING:
                self._database.write(*self._taken())
        self._database.write(*self._taken())

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
        self._taken()
        self._newest = dict.fromkeys(self._newest, 0)
        await self._ask(self._database.clear)

    def close(self) -> None:
        """Write what waits, and close; after the loop has ended."""
        self._thread.shutdown()
        self._write(*self._taken())
        self._database.close()

    def _hold(self, visit: Visit, delivery: Delivery | None) -> None:
        self._visits.append(visit)
        if delivery is not None:
            self._deliveries.append(delivery)
            self._waiting += len(delivery)

    def _taken(self) -> tuple[list[Visit], list[Delivery]]:
        """What waits, which then waits no longer."""
        taken = self._visits, self._deliveries
        self._visits, self._deliveries, self._waiting = [], [], 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return taken

    def _flush(self) -> None:
        # While a question is answered, the end of that writes what waits.
        if not self._questions:
            self._write(*self._taken())

    def _write(self, visits: list[Visit], deliveries: list[Delivery]) -> None:
        if not visits:
            return
        try:
            self._database.write(visits, deliveries)
        except sqlite3.Error as error:
            # A disk may be full: the sink counts on, and shows what it has.
            _logger.error("the database does not take what arrived: %s", error)  # noqa: TRY400

    async def _ask(self, question: Callable[[], _T]) -> _T:
        visits, deliveries = self._taken()

        def answer() -> _T:
            self._write(visits, deliveries)
            return question()

        asked = asyncio.wrap_future(self._thread.submit(answer))
        self._questions.add(asked)
        asked.add_done_callback(self._answered)
        # Who asked may leave; the thread goes on, and the database is its own until it is done.
        return await asyncio.shield(asked)

    def _answered(self, asked: asyncio.Future[Any]) -> None:
        self._questions.discard(asked)
        self._flush()
