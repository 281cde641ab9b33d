"""The log of calls that a full buffer blocks: `emit_action` has been blocking for 12 s."""

import logging
from collections.abc import Callable
from typing import Final

_log = logging.getLogger("dataart_mp")

_BLOCKED_SECONDS: Final = 1.0
_INTERVAL_SECONDS: Final = 60.0


class BlockedLog:
    """Logs that a call is blocked when it has waited for a second, at most once a minute.

    Args:
        reason: Returns why there is no room.
    """

    def __init__(self, reason: Callable[[], object]) -> None:
        self._reason = reason
        self._next: float | None = None
        self._permit: list[None] = [None]

    def waiting(self, call: str, seconds: float, now: float) -> None:
        """Log a call that is still waiting, if that is due.

        Args:
            call: The name of the method.
            seconds: How long it has waited.
            now: The time (monotonic, seconds).
        """
        if seconds < _BLOCKED_SECONDS or (self._next is not None and now < self._next):
            return
        try:
            self._permit.pop()  # atomic: one of several threads logs
        except IndexError:
            return
        try:
            self._next = now + _INTERVAL_SECONDS
            reason = str(self._reason())  # now: it may change before a handler formats it
            _log.warning("buffer full: %s has been blocking for %.0f s; %s", call, seconds, reason)
        finally:
            self._permit.append(None)
