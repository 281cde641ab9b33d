"""The limit: which sizes the platform takes, as far as its answers have told. No clock, no I/O."""

import math


class Limit:
    """Remembers the smallest batch that was too large (413), so that no other pays for learning it.

    Sizes are bytes of records. The threads of a worker share it: what one of them overwrites, the
    next answer tells again.
    """

    def __init__(self) -> None:
        self._too_large: float = math.inf

    def allows(self, size: int) -> bool:
        """Whether a batch of this size may be taken, for all that is known."""
        return size < self._too_large

    def at_most(self, size: int) -> int:
        """How large to make a batch on purpose, up to this: half of what was once too large.

        To come closer step by step would cost a refused request for each step.
        """
        return int(min(size, self._too_large / 2))

    def refused(self, size: int) -> None:
        """A batch of this size was too large."""
        self._too_large = min(self._too_large, size)

    def delivered(self, size: int) -> None:
        """A batch of this size was taken: what is known is out of date, or was not about size."""
        if not self.allows(size):
            self._too_large = math.inf
