"""The limit on how many items a page shows, so that a person can read them."""

from __future__ import annotations

from typing import Final

BURST: Final = 200
PER_SECOND: Final = 20.0


class Pace:
    """A token bucket: a burst is shown completely, a steady stream at a readable rate.

    Args:
        burst: Items that can be shown at once.
        per_second: Items that can be shown per second in the long run.
    """

    def __init__(self, burst: int = BURST, per_second: float = PER_SECOND) -> None:
        self._burst = burst
        self._per_second = per_second
        self._tokens = float(burst)
        self._filled: float | None = None

    def take(self, wanted: int, now: float) -> int:
        """Return how many of the wanted items may be shown at a time of the monotonic clock."""
        if self._filled is not None:
            gained = (now - self._filled) * self._per_second
            self._tokens = min(self._burst, self._tokens + gained)
        self._filled = now
        taken = min(wanted, int(self._tokens))
        self._tokens -= taken
        return taken
