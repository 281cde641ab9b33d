"""The limit: which batches the platform accepts, as far as its responses have shown.

It is learned from batches that were too large. A response 413 says so. 400 and 422 do not, for they
may be about a record; but if all parts of the batch are accepted, it was too large, too.
"""

import math
from typing import Final

FORGET_AFTER: Final = 1000
"""Deliveries after which the limits are forgotten: the platform may have raised them, or a response
was not about the size. If they still hold, the next batch that is too large shows them again."""


class Limit:
    """Remembers the smallest batch that was too large, so that no other batch is refused.

    It does no I/O. Threads share it without a lock: what one of them overwrites, the next response
    sets again.

    Attributes:
        is_known: Whether any batch was too large, as far as is known.
    """

    def __init__(self) -> None:
        self._too_large: float = math.inf
        self._too_many: float = math.inf
        self._deliveries = 0
        self.is_known = False

    def allows(self, size: int, count: int) -> bool:
        """Whether a batch may be accepted, as far as is known.

        Args:
            size: Its bytes of records.
            count: Its records.
        """
        return size < self._too_large and count < self._too_many

    def at_most(self, size: int) -> int:
        """Return how large a batch should be made in bytes, up to `size`.

        That is half of what was too large. To approach the limit step by step would cost a
        refused request for each step.
        """
        return int(min(size, self._too_large / 2))

    def at_most_records(self, count: int) -> int:
        """Return how many records a batch should hold, up to `count`; see `at_most`."""
        return int(min(count, self._too_many / 2))

    def too_large(self, size: int) -> None:
        """Note that a batch of so many bytes was too large."""
        self._too_large = min(self._too_large, size)
        self.is_known = True

    def too_many(self, count: int) -> None:
        """Note that a batch of so many records was too large."""
        self._too_many = min(self._too_many, count)
        self.is_known = True

    def delivered(self, size: int, count: int) -> None:
        """Note that a batch was accepted.

        If it should have been too large, the limits have changed, or were not about the size.
        """
        self._deliveries += 1
        if self._deliveries >= FORGET_AFTER or not self.allows(size, count):
            self._too_large = self._too_many = math.inf
            self._deliveries = 0
            self.is_known = False


class SplitBatch:
    """Finds out whether a batch that was split had too many records, or one that was refused.

    It is for one frame of the queue, whose batches are sent front to back.
    """

    def __init__(self) -> None:
        self._end = 0
        self._count: int | None = None

    def split(self, end: int, count: int) -> None:
        """Note that a batch was split, perhaps a part of one that was split before.

        Args:
            end: Offset at which it ends.
            count: Its records.
        """
        if end > self._end:
            self._end, self._count = end, count
        elif self._count is not None:
            self._count = min(self._count, count)

    def rejected(self) -> None:
        """Note that a record of the batch was the reason."""
        self._count = None

    def delivered(self, end: int) -> int | None:
        """Note that the part that ends at `end` was accepted.

        Returns:
            How many records were too many, if this was the last part and none was the reason.
        """
        if self._count is None or end < self._end:
            return None
        count, self._count = self._count, None
        return count
