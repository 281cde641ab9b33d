"""The limit: which batch sizes the platform accepts, as far as its responses have shown."""

import math


class Limit:
    """Remembers the smallest batch that was too large (413), so that no other batch is refused.

    It does no I/O. Sizes are bytes of records. The threads of a worker share it without a lock:
    what one of them overwrites, the next response sets again.
    """

    def __init__(self) -> None:
        self._too_large: float = math.inf

    def allows(self, size: int) -> bool:
        """Whether a batch of this size may be accepted, as far as is known."""
        return size < self._too_large

    def at_most(self, size: int) -> int:
        """Return how large a batch should be made, up to `size`.

        That is half of what was too large. To approach the limit step by step would cost a
        refused request for each step.
        """
        return int(min(size, self._too_large / 2))

    def refused(self, size: int) -> None:
        """Note that a batch of this size was too large."""
        self._too_large = min(self._too_large, size)

    def delivered(self, size: int) -> None:
        """Note that a batch of this size was accepted.

        If it should have been too large, the limit has changed, or was not about the size.
        """
        if size >= self._too_large:
            self._too_large = math.inf
