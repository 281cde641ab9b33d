"""The parker: parks what an outage outlasts, and has it sent when the platform answers again.

Whatever it cannot do, for want of room on the disk perhaps, is put off: the records stay in memory,
are tried again, and nothing is lost.
"""

import time
from collections.abc import Callable, Sequence
from itertools import filterfalse, islice
from typing import Final

from dataart_mp.queue import Frame, RecordQueue
from dataart_mp.queue.locks import LOADER
from dataart_mp.spool.ownership import Ownership
from dataart_mp.spool.parked_batch import MAX_REST_SECONDS, BatchContent, ParkedBatch
from dataart_mp.spool.parking_lot import FullError, ParkingError, ParkingLot
from dataart_mp.spool.refill import refill
from dataart_mp.transport.response import Response
from dataart_mp.worker.batch import Batch
from dataart_mp.worker.reporter import Reporter
from dataart_mp.worker.retry_outcome import Parked, Postponed, hold_back

# How long a batch that was sent again in vain rests in the parking lot, so that one which never
# gets an answer does not go round and round: so many times the backoff ratio.
_REST_RATIO: Final = 12
_LONGEST_PAUSE: Final = 5.0


class Parker:
    """One worker process's way to the parking lot; for any thread.

    Args:
        queue: where frames come from and go back to.
        lot: where batches are parked.
        reporter: tells the application.
        ratio: the backoff's, in seconds; what could not be done is tried again after this.
    """

    def __init__(
        self, queue: RecordQueue, lot: ParkingLot, reporter: Reporter, ratio: float
    ) -> None:
        self._queue = queue
        self._arena = queue.arena
        self._lot = lot
        self._reporter = reporter
        self._pause = min(ratio, _LONGEST_PAUSE)
        self._rest = min(_REST_RATIO * ratio, MAX_REST_SECONDS)
        self._ownership = Ownership(queue.arena)
        self._too_large: set[ParkedBatch] = set()

    @property
    def is_pressed(self) -> bool:
        """Whether so many frames are in use that an outage would soon stop the application."""
        return self._arena.free() * 2 < self._arena.frames

    # What becomes of a frame

    def key(self, frame: Frame) -> str:
        """The key of what is in the frame: its own, or that under which it was sent before."""
        if not frame.taken:
            return frame.key
        try:
            batch = self._lot.find(frame.taken, frame.owner)
        except ParkingError as error:
            self._reporter.trouble(f"what is parked cannot be read: {error}")
            batch = None
        return frame.key if batch is None else batch.key

    def park(self, frame: Frame, batches: Sequence[Batch], why: str) -> Parked | Postponed | None:
        """Park what is left in the frame.

        Args:
            frame: claimed.
            batches: what is left in it.
            why: for the log.

        Returns:
            What became of it; None: there is no room, and nothing may be let go to make some.
        """
        now = time.time_ns()
        frame.mark_parking(True)
        try:
            since, not_before = self._times(frame, now)
            evicted, gone = self._lot.park(
                [BatchContent(batch.key, batch.is_identity, batch.content) for batch in batches],
                frame.owner,
                self._ownership,
                since=since,
                not_before=not_before,
                instead_of=frame.taken,
            )
        except FullError:
            frame.mark_parking(False)
            return None
        except ParkingError as error:
            # It can be sent meanwhile, unless it may be parked.
            frame.mark_parking(error.may_be_done)
            return self._put_off(frame, error)
        self._reporter.parked(sum(batch.count for batch in batches), why)
        for content in gone:
            batch = Batch(content.key, content.is_identity, 0, content.records)
            self._reporter.failed("spool full", batch, Response(None), 0)
        self._queue.worker.settle_parked(frame, evicted)
        return Parked()

    def complete(self, frame: Frame) -> Parked | Postponed | None:
        """Complete a parking that a death has cut short; None: it was not done, or never begun."""
        if not frame.may_be_parked:
            return None
        try:
            evicted = self._lot.was_parked(frame.owner, frame.taken)
        except ParkingError as error:
            return self._put_off(frame, error)
        if evicted is None:
            frame.mark_parking(False)
            return None
        self._queue.worker.settle_parked(frame, evicted)
        return Parked()

    def settle(self, frame: Frame) -> float | None:
        """All that is in the frame is through: remove what it was taken from, and settle it.

        Returns:
            None; or the seconds until that is tried again.
        """
        if frame.taken:
            try:
                self._lot.remove(frame.taken, frame.owner)
            except ParkingError as error:
                return self._put_off(frame, error).seconds
        self._queue.worker.settle(frame)
        return None

    # What is parked

    def load(self, flows: Callable[[bool], bool]) -> bool:
        """Take from the parking lot as much as there is room for, beside the live traffic.

        Args:
            flows: whether the platform answers, for identities (True) or for actions.

        Returns:
            Whether there may be more to take at once.
        """
        if not self._lot.exists or not self._arena.locks.acquire(LOADER):
            return False  # another process of ours is at it
        try:
            loaded = [self._load(kind, answered=flows(kind)) for kind in (False, True)]
            return any(loaded)
        except ParkingError as error:
            self._reporter.trouble(f"what is parked cannot be read: {error}")
            return False
        finally:
            self._arena.locks.release(LOADER)

    def close(self) -> None:
        """Close the file."""
        self._lot.close()

    def _load(self, is_identity: bool, *, answered: bool) -> bool:
        """Fill at most half of the frames; one only, to find out whether the platform answers."""
        room = self._arena.free() - self._arena.frames // 2
        limit = min(room, room if answered else 1)
        waiting = self._lot.waiting(time.time_ns(), self._ownership, is_identity=is_identity)
        sendable = filterfalse(self._too_large.__contains__, waiting)
        loaded = [self._take(batch) for batch in islice(sendable, max(0, limit))]
        return answered and any(loaded)

    def _take(self, batch: ParkedBatch) -> bool:
        if batch.size > self._arena.capacity:
            self._cut(batch)
            return False
        frame = refill(
            self._arena,
            (batch.id, batch.home != self._arena.id),
            is_identity=batch.is_identity,
            count=batch.count,
            take=lambda owner: self._lot.take(batch, owner),
        )
        if frame is None:
            return False
        self._queue.work.notify(frame)
        return True

    def _cut(self, batch: ParkedBatch) -> None:
        """Of a client with larger frames: make it fit, or say that it doesn't."""
        if batch.count > 1:
            self._lot.split(batch, self._arena.capacity)
        else:  # what is behind it need not wait
            self._too_large.add(batch)
            self._reporter.trouble(
                f"a parked event takes {batch.size:,} bytes, a request holds "
                f"{self._arena.capacity:,}: make max_request_bytes larger to have it sent"
            )

    def _times(self, frame: Frame, now: int) -> tuple[int, int]:
        """When it was first parked, and when it may be taken."""
        before = self._lot.find(frame.taken, frame.owner) if frame.taken else None
        if before is None:
            return now, 0
        return before.since, now + int(self._rest * 1e9)

    def _put_off(self, frame: Frame, error: ParkingError) -> Postponed:
        self._reporter.trouble(f"what is parked cannot be written: {error}")
        return hold_back(frame, self._pause)
