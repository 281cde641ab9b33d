"""A mark: what is pending of all that this process emitted before some moment."""

from dataart_mp.config.timeout import checked_timeout
from dataart_mp.errors import ClosedError, DataArtError
from dataart_mp.queue.companion import AbandonedError
from dataart_mp.queue.frame_writer import Claim
from dataart_mp.queue.lifetime import Lifetime
from dataart_mp.queue.marks import Marks, Unsettled
from dataart_mp.queue.writer_pool import WriterPool
from dataart_mp.stats import Outcome


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

    def pending(self) -> int:
        """Return how many of the records are neither delivered nor accounted for otherwise.

        Raises:
            DataArtError: The mark was made before this process was forked.
        """
        return self._pending(self._unsettled())

    def outcome(self) -> Outcome:
        """Return how many records are pending, and what became of the others.

        Raises:
            DataArtError: As for `pending`.
        """
        unsettled = self._unsettled()
        try:
            with self._lifetime.visit():
                losses, is_exact = self._marks.losses(self._coverage, unsettled)
        except ClosedError:  # another thread has closed it meanwhile, and concluded
            losses, is_exact = self._marks.losses(self._coverage, unsettled)
        return Outcome(
            pending=self._pending(unsettled),
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
        if self.seal_last():
            try:
                with self._lifetime.visit():
                    self._lifetime.wait_for(lambda: not self.seal_last(), seconds)
            except (AbandonedError, ClosedError):
                pass
        return self.pending()

    def seal_last(self) -> int:
        """Return how many records are pending; if they are all in open frames, seal these.

        While others are under way, a frame may still be filled.
        """
        unsettled = self._unsettled()
        if not self._lifetime.closed:
            covered = [claim for claim in unsettled if self._covers(claim, unsettled[claim])]
            if all(self._pool.is_open(claim) for claim in covered):
                with self._lifetime.visit():
                    self._pool.seal_each(covered)
        return self._pending(unsettled)

    def __repr__(self) -> str:
        return f"<Mark | {self.outcome()}>"

    def _covers(self, claim: Claim, unsettled: Unsettled) -> bool:
        return self._coverage.of(claim, unsettled.stamp) != 0

    def _unsettled(self) -> dict[Claim, Unsettled]:
        if not self._lifetime.closed:
            self._lifetime.check()  # in a forked child, it is rebuilt
        if self._marks.era is not self._era:
            raise DataArtError(
                "the mark was made before this process was forked, by its parent; ask it there, "
                "and make another one here"
            )
        try:
            with self._lifetime.visit():
                return self._marks.unsettled(self._coverage)
        except ClosedError:
            return self._marks.unsettled(self._coverage)

    def _pending(self, unsettled: dict[Claim, Unsettled]) -> int:
        return self._marks.pending(self._coverage, unsettled)
