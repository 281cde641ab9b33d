"""A mark: what is pending of all that this process emitted before some moment."""

import contextlib
from collections.abc import Callable
from typing import TypeVar

from dataart_mp.config.timeout import checked_timeout
from dataart_mp.errors import ClosedError, DataArtError
from dataart_mp.queue.companion import AbandonedError
from dataart_mp.queue.lifetime import Lifetime
from dataart_mp.queue.marks import Marks, Pending
from dataart_mp.queue.writer_pool import WriterPool
from dataart_mp.stats import Outcome

Result = TypeVar("Result")


class Mark:
    """A moment in the stream of records of one process; see `Client.mark`.

    After the queue was closed, it says what was pending then.

    Args:
        lifetime: This process's use of the queue.
        pool: The frame writers of this process.
        dropped: How many records of this process were dropped before.
    """

    __slots__ = ("__weakref__", "_coverage", "_dropped", "_era", "_lifetime", "_marks", "_pool")

    def __init__(self, lifetime: Lifetime, pool: WriterPool, dropped: int) -> None:
        self._lifetime = lifetime
        self._pool = pool
        self._marks: Marks = pool.marks
        self._era = pool.marks.era
        self._dropped = dropped
        self._coverage = pool.marks.cover()

    @property
    def epoch(self) -> int:
        """A mark covers all that a mark of an earlier epoch covers."""
        return self._coverage.epoch

    def pending(self) -> int:
        """Return how many of the records are neither delivered nor accounted for otherwise.

        Raises:
            DataArtError: The mark was made before this process was forked.
        """
        return self.look().count(self._coverage)

    def outcome(self) -> Outcome:
        """Return how many records are pending, and what became of the others.

        Raises:
            DataArtError: As for `pending`.
        """
        pending = self.look()
        losses, is_exact = self._visit(lambda: self._marks.losses(self._coverage, pending))
        return Outcome(
            pending=pending.count(self._coverage),
            rejected=losses.rejected,
            failed=losses.failed,
            parked=losses.parked,
            dropped=self._dropped,
            is_exact=is_exact,
        )

    def wait(self, timeout: float | None = None) -> int:
        """Wait until no record is pending, and return how many still are.

        Args:
            timeout: Seconds; None waits without a limit, unless no worker can be started.

        Raises:
            DataArtError: As for `pending`.
            ValueError: The timeout is not a finite number of zero or more, and not None.
        """
        seconds = checked_timeout(timeout)
        if not self.is_settled(self.look()):
            with contextlib.suppress(AbandonedError, ClosedError), self._lifetime.visit():
                self._lifetime.wait_for(lambda: self.is_settled(self.look()), seconds)
        return self.pending()

    def look(self) -> Pending:
        """Return what is pending of all that this process has emitted.

        Raises:
            DataArtError: As for `pending`.
        """
        if not self._lifetime.closed:
            self._lifetime.check()  # in a forked child, it is rebuilt
        if self._marks.era is not self._era:
            raise DataArtError(
                "the mark was made before this process was forked, by its parent; ask it there, "
                "and make another one here"
            )
        return self._visit(self._marks.pending)

    def is_settled(self, pending: Pending) -> bool:
        """Return whether nothing is pending; if the rest is in open frames, seal these.

        While other records are under way, an open frame may still be filled.
        """
        if pending.is_settled(self._coverage):
            return True
        if self._coverage.epoch < pending.oldest and not self._lifetime.closed:
            with self._lifetime.visit():
                self._pool.seal_each(pending.open(self._coverage))
        return False

    def __repr__(self) -> str:
        return f"<Mark | {self.outcome()}>"

    def _visit(self, look: Callable[[], Result]) -> Result:
        """Look at the arena; when it is closed, at what is remembered of it."""
        try:
            with self._lifetime.visit():
                return look()
        except ClosedError:  # another thread has closed it meanwhile
            return look()
