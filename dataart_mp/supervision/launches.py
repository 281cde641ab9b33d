"""The launches of one process: the workers that it has started and still watches."""

import contextlib
import os
import time
from collections.abc import Callable
from typing import Final

from dataart_mp import clock
from dataart_mp.supervision.launch import Launch

_POLL_SECONDS: Final = 0.001

# Launches that no client watches any more, with processes that are not reaped yet.
_abandoned: Final[list[Launch]] = []


def reap_abandoned() -> bool:
    """Reap what has ended of launches that nobody watches; return whether something is left."""
    _reap(_abandoned)
    return bool(_abandoned)


class Launches:
    """Keeps track of launches, with at most one in progress for each place.

    Any thread may call any method: one thread may start a worker while others look.
    """

    def __init__(self) -> None:
        self._watched: dict[int, tuple[Launch, float]] = {}  # by status descriptor
        self._begun: dict[int, object] = {}  # by place: the call that is starting a worker there
        self._unreaped: list[Launch] = []

    def __getitem__(self, status: int) -> tuple[Launch, float]:
        """Return the launch with this status descriptor, and when it was started."""
        return self._watched[status]

    @property
    def sentinels(self) -> list[int]:
        """The status descriptors of all launches."""
        return list(self._watched)

    def all(self) -> list[tuple[Launch, float]]:
        """Return each launch and when it was started."""
        return list(self._watched.values())

    def starting_places(self) -> set[int]:
        """Return the places of workers that are not ready yet."""
        return {launch.place for launch, _ in self.all() if not launch.ready}

    def is_starting(self) -> bool:
        """Whether a start is in progress, by any thread."""
        return bool(self._begun) or bool(self.starting_places())

    def start(self, place: int, now: float, launch: Callable[[int], Launch | None]) -> None:
        """Start a worker, unless another thread is starting one for the same place.

        Args:
            place: Number of the place.
            now: Monotonic time, in seconds.
            launch: Starts it; returns None if the place is not vacant any more.
        """
        this_call = object()
        try:
            # First the claim, then the look at the place: a later thread finds either the claim or
            # the launch.
            if self._begun.setdefault(place, this_call) is this_call:
                started = launch(place)
                if started is not None:
                    self._watched[started.status] = (started, now)
                    self._unreaped.append(started)
        finally:
            if self._begun.get(place) is this_call:
                del self._begun[place]

    def remove(self, launch: Launch) -> None:
        """Watch a launch no longer; its worker may live on."""
        del self._watched[launch.status]
        launch.close()

    def reap(self, seconds: float = 0.0) -> None:
        """Reap what has ended, so that no zombie is left.

        Args:
            seconds: How long to wait for interpreters that have not forked their worker yet, and
                for workers that are about to end.
        """
        deadline = clock.monotonic() + seconds
        _reap(self._unreaped)
        while any(each.is_ending for each in self._unreaped) and clock.monotonic() < deadline:
            try:
                time.sleep(_POLL_SECONDS)
            except AssertionError:  # gevent's event loop cannot wait; the collector may run there
                return
            _reap(self._unreaped)

    def wait(self, seconds: float) -> None:
        """Wait until the workers have ended, but not longer than `seconds`."""
        deadline = clock.monotonic() + seconds
        for launch, _ in self.all():
            launch.wait(max(0.0, deadline - clock.monotonic()))

    def close(self) -> None:
        """Watch no launch any longer; the workers live on. `reap_abandoned` reaps their zombies."""
        _abandoned.extend(self._unreaped)
        self.forget()

    def forget(self) -> None:
        """Forget all launches, in a forked child: the processes are children of the parent."""
        for launch, _ in self.all():
            launch.close()
        self._watched.clear()
        self._begun.clear()
        self._unreaped.clear()


def _reap(unreaped: list[Launch]) -> None:
    for launch in unreaped.copy():
        if launch.reap():
            with contextlib.suppress(ValueError):  # another thread has reaped it too
                unreaped.remove(launch)


# The abandoned launches of the parent are not children of its forked child.
os.register_at_fork(after_in_child=_abandoned.clear)
