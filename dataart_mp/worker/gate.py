"""The gate: lets as many sender threads of a worker send as its pace permits."""

import threading
import time
from collections.abc import Callable
from typing import Final, Self

from dataart_mp import clock
from dataart_mp.worker.shared_flow import Pace

# The longest time in which a change that another worker made goes unnoticed.
_LOOK_SECONDS: Final = 0.1


class Gate:
    """A sender thread is inside, in a `with` block, while it waits for a frame and sends it.

    While a circuit is open, the gate is open to all threads. The circuit lets one of them send, and
    the others must not wait for its response: they park frames, or let them wait.

    Args:
        pace: How many may be inside, and at which pace they send.
        is_open: Returns whether a circuit is open.
    """

    def __init__(self, pace: Pace, is_open: Callable[[], bool]) -> None:
        self._pace = pace
        self._is_open = is_open
        self._inside = 0
        self._waiting = 0
        self._lock = threading.Lock()
        self._left = threading.Condition(self._lock)
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        with self._lock:
            while self._inside >= self._pace.share and not self._is_open():
                self._waiting += 1
                try:
                    self._left.wait(_LOOK_SECONDS)
                finally:
                    self._waiting -= 1
            self._inside += 1
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._waiting:
                self._left.notify()

    def wait_for_turn(self) -> None:
        """Wait until the next request may begin; for a thread that is inside."""
        while self._pace.is_limited and not self._is_open():
            with self._turn:
                delay = self._pace.take_turn(clock.monotonic())
            if delay <= 0:
                return
            time.sleep(min(delay, _LOOK_SECONDS))
