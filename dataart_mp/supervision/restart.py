"""The restart policy: how long to wait before the next worker is started."""

import math
from typing import Final

_FIRST_DELAY: Final = 0.1
_LONGEST_DELAY: Final = 30.0
_MOST_DOUBLINGS: Final = 10
# A worker that lived this long did not die because of its start.
_LIVED_SECONDS: Final = 10.0
# Workers that die without a message are considered killed from outside for this many rounds.
_KILLED_ROUNDS: Final = 3


class RestartPolicy:
    """Computes delays from failures. The caller supplies the time and waits.

    The delay doubles with each failed start, from 0.1 to 30 seconds.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._silent_rounds = 0
        self._silent_at = -math.inf

    def after_failed_start(self) -> float:
        """Count a start that failed; return the seconds to wait before the next one."""
        self._failures += 1
        delay: float = _FIRST_DELAY * 2 ** min(self._failures - 1, _MOST_DOUBLINGS)
        return min(delay, _LONGEST_DELAY)

    def after_death(self, lived: float) -> float:
        """Count the death of a worker that was ready; return the seconds to wait.

        Args:
            lived: Seconds since its start. A worker that dies young counts as a failed start.
        """
        if lived < _LIVED_SECONDS:
            return self.after_failed_start()
        self._failures = 0
        return 0.0

    def may_be_killed(self, started: float, now: float) -> bool:
        """Whether a worker that died without a message may have been killed from outside.

        That is assumed for the first three rounds of starts. After that, the worker itself must be
        the cause. Workers that were started before the previous such death belong to its round.

        Args:
            started: When the worker was started, in seconds of a monotonic clock.
            now: The present time by the same clock.
        """
        if started >= self._silent_at:
            self._silent_rounds += 1
            self._silent_at = now
        return self._silent_rounds <= _KILLED_ROUNDS

    def after_ready(self) -> None:
        """A worker became ready: earlier deaths without a message no longer count."""
        self._silent_rounds = 0

    def reset(self) -> None:
        """Forget all failures."""
        self._failures = 0
        self._silent_rounds = 0
