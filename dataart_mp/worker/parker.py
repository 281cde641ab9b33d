"""The parker: parks batches that an outage outlasts, and loads them again when it is over.

What it cannot do, because the disk is full for example, is postponed: the records stay in memory
and are tried again, and nothing is lost. Live events are sent meanwhile. The problem is reported
once when it starts, and once when it ends, by whichever worker notices it first.

Only if the spool was removed and no producer is left, nothing is postponed: nobody could ever find
what these workers leave behind.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import filterfalse, islice
from typing import Final

from dataart_mp import clock
from dataart_mp.delivery.batch import Batch
from dataart_mp.queue import Frame, RecordQueue
from dataart_mp.queue.accounting import parked_at_rest
from dataart_mp.queue.locks import LOADER
from dataart_mp.queue.role import role
from dataart_mp.queue.status import Status
from dataart_mp.spool import arena_file
from dataart_mp.spool.ownership import Ownership
from dataart_mp.spool.parked_batch import MAX_REST_SECONDS, BatchContent, ParkedBatch
from dataart_mp.spool.parking_lot import FullError, ParkingError, ParkingLot
from dataart_mp.spool.refill import refill
from dataart_mp.transport.response import Response
from dataart_mp.worker.parking import NotParked
from dataart_mp.worker.reporter import Reporter
from dataart_mp.worker.retry_outcome import Parked, Postponed, hold

# How long a batch that was loaded and failed again rests in the parking lot, in backoff ratios, so
# that one which never gets a response is not loaded over and over. The end of an outage ends the
# rest of all batches that have failed in it.
_REST_RATIO: Final = 12
_LONGEST_PAUSE: Final = 5.0
# How long parked records must be missing in the parking lot before they count as lost. Records that
# are just being parked or evicted may be missing for a moment.
_MISSING_SECONDS: Final = 2.0

# In place of the identity of a file, which is smaller: something was parked in some file.
_NOT_COMPARED: Final = 1 << 63

# What is wrong with the spool, as bits of `Arena.spool_trouble`.
_UNREADABLE: Final = 1
_UNWRITABLE: Final = 2
_NAMES: Final = {_UNREADABLE: "read", _UNWRITABLE: "written"}


class Parker:
    """The `Parking` of a worker that has a spool; for any thread.

    Args:
        queue: The queue that frames come from and return to.
        lot: Where batches are parked.
        reporter: Notifies the application.
        ratio: The backoff's ratio in seconds; what failed is tried again after this.
        has_producers: Whether a process is left that may emit.
    """

    def __init__(
        self,
        queue: RecordQueue,
        lot: ParkingLot,
        reporter: Reporter,
        ratio: float,
        has_producers: Callable[[], bool] = lambda: True,
    ) -> None:
        self._queue = queue
        self._arena = queue.arena
        self._lot = lot
        self._reporter = reporter
        self._pause = min(ratio, _LONGEST_PAUSE)
        self._rest_ns = int(min(_REST_RATIO * ratio, MAX_REST_SECONDS) * 1e9)
        self._ownership = Ownership(queue.arena)
        self._has_producers = has_producers
        self._too_large: set[ParkedBatch] = set()
        self._keys: dict[int, tuple[int, str]] = {}  # of frames: generation and key
        self._missing: tuple[float, int] | None = None

    @property
    def is_urgent(self) -> bool:
        """Whether more than half of the frames are in use."""
        return self._arena.free() * 2 < self._arena.frames

    # From a frame to the parking lot

    def key(self, frame: Frame) -> str:
        """Return the key of a frame's records; if they were parked, the one they had then.

        Raises:
            ParkingError: The parking lot cannot be read, and the frame was not prepared.
        """
        if not frame.taken:
            return frame.key
        generation, key = self._keys.get(frame.number, (0, ""))
        if generation != frame.owner.generation:
            batch = self._lot.find(frame.taken, frame.owner)
            key = frame.key if batch is None else batch.key
            self._keys[frame.number] = (frame.owner.generation, key)
        return key

    def park(
        self, frame: Frame, batches: Sequence[Batch], reason: str
    ) -> Parked | Postponed | NotParked:
        """Park what is left in a frame, and settle it; see `Parking`."""
        now = time.time_ns()
        frame.mark_parking(True)
        self._arena.lot_file = self._arena.lot_file or _NOT_COMPARED
        try:
            since, not_before = self._times(frame, now)
            evicted, removed = self._lot.park(
                [BatchContent(batch.key, batch.is_identity, batch.content) for batch in batches],
                frame.owner,
                self._ownership,
                since=since,
                not_before=not_before,
                instead_of=frame.taken,
            )
        except FullError:
            frame.mark_parking(False)
            return NotParked("spool full")
        except ParkingError as error:
            # The frame can be sent meanwhile, unless it may be parked.
            frame.mark_parking(error.may_be_done)
            return NotParked() if self._is_removed() else self._postpone(frame, error)
        self._end_trouble(_UNWRITABLE)
        if not frame.taken:  # else it was parked before, and was counted then
            self._reporter.parked(sum(batch.count for batch in batches), reason)
        for old in removed:
            batch = Batch(old.key, old.is_identity, 0, old.records)
            self._reporter.failed("spool full", batch, Response(None), 0)
        self._queue.worker.settle_parked(frame, evicted)
        return Parked()

    def prepare(self, frame: Frame) -> Parked | Postponed | None:
        """Find a frame's key, and complete an interrupted parking; see `Parking`."""
        if not frame.taken and not frame.may_be_parked:
            return None
        try:
            self.key(frame)
            evicted = None
            if frame.may_be_parked:
                evicted = self._lot.was_parked(frame.owner, frame.taken)
        except ParkingError as error:
            if not self._is_removed():
                return self._postpone(frame, error)
            self._keys[frame.number] = (frame.owner.generation, frame.key)
            evicted = None
        if evicted is None:
            frame.mark_parking(False)
            return None
        self._queue.worker.settle_parked(frame, evicted)
        return Parked()

    def settle(self, frame: Frame) -> Postponed | None:
        """Remove the parked batch that the frame was filled from, if any, and settle the frame."""
        if frame.taken:
            try:
                self._lot.remove(frame.taken, frame.owner)
            except ParkingError as error:
                if not self._is_removed():
                    return self._postpone(frame, error)
        self._queue.worker.settle(frame)
        return None

    def _times(self, frame: Frame, now: int) -> tuple[int, int]:
        """Return when the batch was first parked, and when it may be loaded (epoch, ns)."""
        before = self._lot.find(frame.taken, frame.owner) if frame.taken else None
        if before is None:
            return now, 0
        return before.since, now + self._rest_ns

    def _postpone(self, frame: Frame, error: ParkingError) -> Postponed:
        self._begin_trouble(_UNWRITABLE, error)
        return hold(frame, self._pause)

    def _is_removed(self) -> bool:
        """Whether the spool was removed, and no producer is left to make another one."""
        return not self._has_producers() and not arena_file.has_name(self._arena)

    # Trouble with the spool

    def _begin_trouble(self, kind: int, error: Exception) -> None:
        if not self._arena.spool_trouble & kind:
            self._arena.spool_trouble |= kind
            text = f"parked batches cannot be {_NAMES[kind]}: {error}"
            Status(self._arena).note_error(f"spool: {text}")
            self._reporter.trouble(text)

    def _end_trouble(self, kind: int) -> None:
        if self._arena.spool_trouble & kind:
            self._arena.spool_trouble &= ~kind
            self._reporter.trouble(f"parked batches can be {_NAMES[kind]} again")

    # From the parking lot to a frame

    def load(self, is_healthy: Callable[[bool], bool]) -> bool:
        """Fill free frames with parked batches; see `Parking`."""
        try:
            exists = self._lot.exists
        except OSError as error:
            self._begin_trouble(_UNREADABLE, error)
            return False
        if not exists and not self._arena.spool_trouble and not self._arena.lot_file:
            return False
        with role(self._arena.locks, LOADER) as may_load:
            # Else another process of this client is loading.
            return may_load and self._load_all(is_healthy)

    def close(self) -> None:
        """Close the parking lot's file, after the last frame was settled."""
        if self._arena.closed and self._arena.lot_file:
            with contextlib.suppress(ParkingError):
                self._lot.unmark(self._arena.id)
        self._lot.close()

    def _load_all(self, is_healthy: Callable[[bool], bool]) -> bool:
        if self._arena.spool_trouble & _UNWRITABLE:
            with contextlib.suppress(ParkingError):
                self._lot.probe()
                self._end_trouble(_UNWRITABLE)
        try:
            self._write_off_missing()
            loaded = [self._load(kind, is_healthy(kind)) for kind in (False, True)]
            self._remove_marks()
        except ParkingError as error:
            if not error.is_busy:  # else it is tried again in a moment
                self._begin_trouble(_UNREADABLE, error)
            return False
        self._end_trouble(_UNREADABLE)
        return any(loaded)

    def _write_off_missing(self) -> None:
        """Count parked records as failed if the file that held them was removed or damaged."""
        file = self._lot.identity
        if file == self._arena.lot_file:
            return
        parked = parked_at_rest(self._arena)  # before looking for them
        missing = parked - self._lot.held(self._arena.id, self._ownership)
        if missing > 0:
            since, least = self._missing or (clock.monotonic(), missing)
            self._missing = since, min(least, missing)
            if clock.monotonic() - since < _MISSING_SECONDS:
                return
            if not self._queue.worker.write_off(self._missing[1]):
                return
            self._reporter.lost(self._missing[1])
        self._missing = None
        self._arena.lot_file = file

    def _remove_marks(self) -> None:
        """Remove the marks of clients that have ended, and whose batches are all taken."""
        marked = self._lot.marked()
        if len(marked) > 1 or marked != [self._arena.id]:
            for arena in {*marked}.difference(self._ownership.other_arenas(), [self._arena.id]):
                self._lot.unmark(arena)

    def _load(self, is_identity: bool, is_healthy: bool) -> bool:
        """Fill up to half of the frames, or one to find out whether the platform responds.

        An outage that fills the buffer leaves half of the frames in use, which may all wait for
        long. The one batch is taken then, too: it is parked again if it fails.
        """
        room = self._arena.free() - self._arena.frames // 2
        limit = room if is_healthy else min(room + 1, 1)
        now = time.time_ns()
        closed_at = Status(self._arena).delivery(is_identity).closed_at
        if closed_at <= now:  # else the clock was set back
            now = max(now, closed_at + self._rest_ns)
        waiting = self._lot.waiting(now, self._ownership, is_identity=is_identity)
        batches = self._sendable(waiting, max(0, limit))
        if not batches and limit > 0 and self._needs_probe(is_identity):
            resting = self._lot.resting(self._ownership, is_identity=is_identity)
            batches = self._sendable(resting, 1)
        loaded = [self._take(batch) for batch in batches]
        return is_healthy and any(loaded)

    def _sendable(self, batches: Iterable[ParkedBatch], most: int) -> list[ParkedBatch]:
        """Return the first batches that fit into a frame, or can be split."""
        return list(islice(filterfalse(self._too_large.__contains__, batches), most))

    def _needs_probe(self, is_identity: bool) -> bool:
        """Whether an outage would last as long as all batches rest: no frame can end it before."""
        is_open = Status(self._arena).is_open(is_identity)
        return is_open and not self._queue.worker.has_any(is_identity)

    def _take(self, batch: ParkedBatch) -> bool:
        if batch.size > self._arena.capacity:
            self._shrink(batch)
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

    def _shrink(self, batch: ParkedBatch) -> None:
        """Split a batch from a client with larger frames, or report that it cannot be sent."""
        if batch.count > 1:
            self._lot.split(batch, self._arena.capacity)
            return
        self._too_large.add(batch)  # so that it holds up no other batch
        self._reporter.trouble(
            f"a parked event of {batch.size:,} bytes exceeds the request size of "
            f"{self._arena.capacity:,} bytes; increase max_request_bytes to send it"
        )
