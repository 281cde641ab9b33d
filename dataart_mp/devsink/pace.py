"""How many items can be shown so that somebody can still read them."""

from __future__ import annotations

from typing import Final

BURST: Final = 200
PER_SECOND: Final = 20.0


class Pace:
    """A bucket of tokens: a burst is shown whole, a steady stream at a readable rate."""

    def __init__(self, burst: int = BURST, per_second: float = PER_SECOND) -> None:
        self._burst = burst
        self._per_second = per_second
        self._tokens = float(burst)
        self._filled: float | None = None

    def take(self, wanted: int, now: float) -> int:
        """How many of so many may be shown at this moment of a clock that never goes back."""
        if self._filled is not None:
            gained = (now - self._filled) * self._per_second
            self._tokens = min(self._burst, self._tokens + gained)
        self._filled = now
        taken = min(wanted, int(self._tokens))
        self._tokens -= taken
        return taken
