"""The mark of an `AsyncClient`: a task can await it."""

from collections.abc import Callable, Generator
from typing import Any

from dataart_mp.aio.waiters import Waiters
from dataart_mp.config.timeout import checked_timeout
from dataart_mp.errors import ClosedError
from dataart_mp.queue.mark import Mark
from dataart_mp.stats import Outcome


class AsyncMark:
    """A moment in the stream of events of one process; see `AsyncClient.mark`.

    `await mark` waits until nothing is pending before it, and returns its outcome.

    Args:
        mark: The mark; None if no event was emitted before it.
        waiters: Returns the waiters of the running event loop.
    """

    def __init__(self, mark: Mark | None, waiters: Callable[[], Waiters]) -> None:
        self._mark = mark
        self._waiters_here = waiters

    def pending(self) -> int:
        """Return how many of the events before the mark are pending; see `DeliveryMark.pending`."""
        return 0 if self._mark is None else self._mark.pending()

    def outcome(self) -> Outcome:
        """Return what became of the events before the mark; see `DeliveryMark.outcome`."""
        return Outcome() if self._mark is None else self._mark.outcome()

    async def settled(self, timeout: float | None = None) -> int:
        """Wait until none of the events before the mark is pending.

        Many tasks may wait for marks at once.

        Args:
            timeout: Seconds; None waits without a limit, unless no worker can be started.

        Returns:
            As `pending` does.

        Raises:
            ValueError: The timeout is not a finite number of zero or more, and not None.
        """
        seconds = checked_timeout(timeout)
        mark = self._mark
        if mark is None or mark.is_settled(mark.look()):
            return 0
        try:
            waiters = self._waiters_here()
        except ClosedError:
            return mark.pending()
        await waiters.until_settled(mark, seconds)
        return mark.pending()

    def __await__(self) -> Generator[Any, None, Outcome]:
        yield from self.settled().__await__()
        return self.outcome()

    def __repr__(self) -> str:
        return f"<AsyncMark | {self.outcome()}>"
