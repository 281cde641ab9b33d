"""A reader: single records out of the queue, for `get` and `task_done`.

Workers of the client do not use it; they send whole frames.
"""

import contextlib
import itertools
from collections import deque
from collections.abc import Callable
from queue import Empty
from typing import Final

from dataart_mp.queue import janitor
from dataart_mp.queue.arena import READY, Arena
from dataart_mp.queue.deadline import Deadline
from dataart_mp.queue.frame import Frame
from dataart_mp.queue.lifetime import Lifetime
from dataart_mp.queue.wakeup import WakeupPipe
from dataart_mp.queue.worker_end import WorkerEnd

# Another process may read the notification of a frame and die: a reader looks this often itself.
_LOOK_SECONDS: Final = 0.05


class Reader:
    """Hands out the records of claimed frames, one by one; for any thread.

    Args:
        arena: Where the frames are.
        work: The pipe that notifies workers.
        lifetime: This process's use of the queue.
        worker_end: Settles frames.
        seal_open: Seals what this process has open.
    """

    def __init__(
        self,
        arena: Arena,
        work: WakeupPipe,
        lifetime: Lifetime,
        worker_end: WorkerEnd,
        seal_open: Callable[[], None],
    ) -> None:
        self._arena = arena
        self._work = work
        self._lifetime = lifetime
        self._worker_end = worker_end
        self._seal_open = seal_open
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget what belongs to the process: in a forked child it is the parent's."""
        self._unread: deque[tuple[bytes, _Reading]] = deque()
        self._handed: deque[_Reading] = deque()

    @property
    def unread(self) -> int:
        """Records of claimed frames that nobody has got yet."""
        return len(self._unread)

    def get(self, timeout: float | None) -> bytes:
        """Return the next record.

        Args:
            timeout: Seconds; None waits without a limit.

        Raises:
            queue.Empty: No record came in time.
            ClosedError: The queue was closed meanwhile.
        """
        deadline = Deadline(timeout)
        while True:
            with contextlib.suppress(IndexError):
                record, reading = self._unread.popleft()
                self._handed.append(reading)
                return record
            frame = self._claim_next(deadline)
            if frame is None:
                raise Empty
            self._read(frame)

    def task_done(self) -> None:
        """Count one record that `get` returned as done with; settle its frame after the last one.

        Raises:
            ValueError: Called more often than `get`.
        """
        try:
            reading = self._handed.popleft()
        except IndexError:
            raise ValueError("task_done() called too many times") from None
        if reading.is_last():
            self._worker_end.settle(reading.frame)

    def _claim_next(self, deadline: Deadline) -> Frame | None:
        """The frame that was sealed first, by its notification; None when the time is over."""
        while not self._lifetime.closed:
            if not self._work.has_notifications():
                self._seal_open()
            number = self._work.wait_at_most(deadline.at_most(_LOOK_SECONDS))
            frame = self._claim_unannounced() if number is None else self._claim(number)
            if frame is not None:
                return frame
            if number is None and deadline.over():
                return None
        raise self._lifetime.closed_error()

    def _claim(self, number: int) -> Frame | None:
        return Frame.claim(self._arena, number)

    def _claim_unannounced(self) -> Frame | None:
        """A frame whose notification was lost, or whose owner has died."""
        for number in self._arena.all_in(READY) or janitor.sweep(self._arena):
            frame = self._claim(number)
            if frame is not None:
                return frame
        return None

    def _read(self, frame: Frame) -> None:
        # No comprehensions: before 3.12 each is a function call that holds `frame`, and
        # `Lifetime.let_go` cannot undo that.
        records: list[bytes] = []
        for start, end in frame.spans():
            records += frame.content(start, end).splitlines(keepends=True)
        if not records:  # its owner died on the last step
            self._worker_end.settle(frame)
            return
        reading = _Reading(frame, len(records))
        self._unread.extend(zip(records, itertools.repeat(reading), strict=False))


class _Reading:
    """A frame on its way through `get` and `task_done`."""

    def __init__(self, frame: Frame, records: int) -> None:
        self.frame = frame
        self._before_last = [None] * (records - 1)

    def is_last(self) -> bool:
        """Count one record; True for exactly one caller, the last."""
        try:
            self._before_last.pop()
        except IndexError:
            return True
        return False
