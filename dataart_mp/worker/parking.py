"""Parking: where a worker puts batches that an outage outlasts. This module needs no SQLite."""

# ruff: noqa: ARG002 - a null object ignores its arguments

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from dataart_mp.delivery.batch import Batch
from dataart_mp.queue import Frame, RecordQueue
from dataart_mp.worker.retry_outcome import Parked, Postponed


@dataclass(frozen=True, slots=True)
class NotParked:
    """The frame was not parked, and the caller still holds it.

    Attributes:
        reason: Why, as an application reads it in `Failure.reason`; None if there is no spool.
    """

    reason: str | None = None


class Parking(Protocol):
    """What a worker does with frames when it may have a spool; for any thread.

    `prepare` comes first for each frame that is claimed. `settle` is the only way to settle a frame
    in a worker, and `key` the only way to find its key: a frame may have been filled from a parked
    batch.
    """

    @property
    def is_urgent(self) -> bool:
        """Whether frames should be parked now, because an outage would soon fill the buffer."""

    def key(self, frame: Frame) -> str:
        """Return the Idempotency-Key of all records in a claimed frame, which was prepared."""

    def park(
        self, frame: Frame, batches: Sequence[Batch], reason: str
    ) -> Parked | Postponed | NotParked:
        """Park what is left in a frame, and settle it.

        Args:
            frame: A claimed frame.
            batches: What is left in it, front to back.
            reason: Why, for the log.

        Returns:
            What happened to the frame. If the disk failed, it is postponed.
        """

    def prepare(self, frame: Frame) -> Parked | Postponed | None:
        """Find a frame's key, and complete its parking if the death of a worker interrupted it.

        Args:
            frame: A frame that was just claimed.

        Returns:
            None if it can be sent, as nearly always; else what happened to it. If the disk failed,
            it is postponed: under another key, the platform would accept its records twice.
        """

    def settle(self, frame: Frame) -> Postponed | None:
        """Settle a frame whose records are all done.

        Returns:
            None if it is settled; if the disk failed, it is postponed, and settled later.
        """

    def load(self, is_healthy: Callable[[bool], bool]) -> bool:
        """Fill free frames with parked batches, without holding up new events.

        Args:
            is_healthy: Whether the platform responds, for identities (True) or actions (False).

        Returns:
            Whether more batches may be loaded at once.
        """

    def close(self) -> None:
        """Close what is open."""


class NoParking:
    """Parks nothing: there is no spool.

    Args:
        queue: The queue that the frames come from.
    """

    is_urgent = False

    def __init__(self, queue: RecordQueue) -> None:
        self._queue = queue

    def key(self, frame: Frame) -> str:
        """Return the key that the frame got when it was filled."""
        return frame.key

    def park(self, frame: Frame, batches: Sequence[Batch], reason: str) -> NotParked:
        """Refuse to park."""
        return NotParked()

    def prepare(self, frame: Frame) -> None:
        """Do nothing, because no parking can have been interrupted."""

    def settle(self, frame: Frame) -> None:
        """Settle the frame in the queue."""
        self._queue.worker.settle(frame)

    def load(self, is_healthy: Callable[[bool], bool]) -> bool:
        """Return False, because nothing is parked."""
        return False

    def close(self) -> None:
        """Do nothing."""
