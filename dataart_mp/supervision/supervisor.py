"""The supervisor: sees to it that every place is taken by a live worker."""

import logging
import math
import time
from typing import Final

from dataart_mp.config import ClientConfig
from dataart_mp.errors import ConfigError
from dataart_mp.queue.locks import PLACES, STARTER
from dataart_mp.queue.record_queue import RecordQueue
from dataart_mp.supervision.launch import Launch
from dataart_mp.supervision.wiring import Inheritance, Wiring

_log = logging.getLogger("dataart_mp")

_ALONE_SECONDS: Final = 1.0  # after that others are started, whatever holds up the first one
READY_SECONDS: Final = 30.0
"""A worker that has not said "ready" by then is given up."""
_FIRST_DELAY: Final = 0.1
_LONGEST_DELAY: Final = 30.0
# How long the end of a process waits for a thread of its own that is just starting a worker.
_LEAVE_SECONDS: Final = 1.0
_TURN_SECONDS: Final = 0.001
# So many rounds of starts in a row may end without a word by accident: somebody kills them.
_ACCIDENTS: Final = 3
_LIVED_SECONDS: Final = 10.0  # a worker that lived so long did not die of its start


class Supervisor:
    """Starts workers, in one process of several that may do so.

    Only who holds the STARTER lock starts, and holds it until its workers are ready: no two
    processes start for the same place, and no crowd of them at the same moment.

    Attributes:
        error: why workers cannot start, in the last one's last words; None once one got ready.
    """

    def __init__(self, queue: RecordQueue, wiring: Wiring, config: ClientConfig) -> None:
        self._locks = queue.arena.locks
        self._arena = queue.arena
        self._inheritance = Inheritance.of(queue, wiring)
        self._config = config
        self._places = range(config.num_processes)
        self.error: str | None = None
        self._launches: dict[int, tuple[Launch, float]] = {}
        self._begun: dict[int, object] = {}  # place: whose call is launching there at the moment
        self._unreaped: list[Launch] = []
        self._failures = 0
        self._not_before = 0.0
        self._silent_rounds = 0
        self._silent_at = -math.inf

    @property
    def sentinels(self) -> list[int]:
        """Descriptors that become readable when a worker gets ready, or has gone."""
        return list(self._launches)

    def workers(self) -> list[int]:
        """The process ids of the workers that live, whoever started them."""
        owners = (self._locks.owner(PLACES + place) for place in self._places)
        # The kernel says 0 of one that is just dying, or lives beyond our namespace; as the number
        # of a process to signal, that would be our own group.
        return [owner for owner in owners if owner]

    def secure(self, now: float) -> None:
        """Start one worker if there is none: what this process accepts must outlive it.

        Takes a millisecond: the worker is not ready yet, but it needs this process no more.
        """
        if self._deserted() and self._locks.acquire(STARTER):
            self._start(self._vacant()[:1], now)

    def take_leave(self, now: float) -> None:
        """See to it, before this process ends, that somebody delivers what is left."""
        deadline = now + _LEAVE_SECONDS
        while self._deserted() and not self._arena.all_free() and now < deadline:
            self.secure(now)
            if not self._locks.holds(STARTER):
                break  # another process is just starting one, or none can be started
            time.sleep(_TURN_SECONDS)  # a thread of this process is
            now = time.monotonic()
        for launch in list(self._unreaped):
            launch.reap(wait=True)  # or else a zombie stays with whoever adopts it

    def tend(self, now: float) -> None:
        """Start what is missing, unless it is too early or somebody else is at it."""
        self._give_up_on_the_late(now)
        self._unreaped = [launch for launch in self._unreaped if not launch.reap(wait=False)]
        if now < self._not_before or not self._wanted():
            return
        places = self._next_places(now)
        if places and (self._locks.holds(STARTER) or self._locks.acquire(STARTER)):
            self._start(places, now)

    def due(self, now: float) -> float:
        """Seconds until `tend` may start again what has failed to start; infinite when it may."""
        return self._not_before - now if self._not_before > now else math.inf

    def hear(self, status: int, now: float) -> None:
        """Take in the news on a sentinel."""
        launch, since = self._launches[status]
        was_ready = launch.ready
        alive = launch.read()
        if launch.ready and not was_ready:
            self.error = None
            self._silent_rounds = 0
        if not alive:
            self._bury(launch, since, now)
        self._release_start()

    def unavailable_reason(self) -> str | None:
        """Why no worker is there nor can start; None when one is, or may be."""
        error = self.error
        return error if error is not None and self._deserted() else None

    def await_departure(self, seconds: float) -> None:
        """Wait until the workers that this process started have gone, but not longer."""
        deadline = time.monotonic() + seconds
        for launch, _ in self._launches.values():
            launch.await_end(max(0.0, deadline - time.monotonic()))

    def dismiss(self) -> None:
        """Know no worker any more; they live on."""
        for launch in self._unreaped:
            launch.reap(wait=True)
        self._forget()
        if self._locks.holds(STARTER):
            self._locks.release(STARTER)

    def forked(self) -> None:
        """In a forked child: the parent's workers are the parent's to watch."""
        self._forget()

    def _forget(self) -> None:
        for launch, _ in self._launches.values():
            launch.close()
        self._launches.clear()
        self._begun.clear()
        self._unreaped.clear()
        self._failures = 0
        self._not_before = 0.0
        self._silent_rounds = 0

    def _wanted(self) -> bool:
        return not self._arena.closed or not self._arena.all_free()

    def _vacant(self) -> list[int]:
        """The places without a worker, and without one that this process is starting."""
        # A copy: `unavailable_reason` is asked by any thread.
        launches = list(self._launches.values())
        starting = {launch.place for launch, _ in launches if not launch.ready}
        return [
            place
            for place in self._places
            if place not in starting and self._locks.owner(PLACES + place) is None
        ]

    def _next_places(self, now: float) -> list[int]:
        """The places to start a worker for now: when none lives, the first one alone.

        A start holds up all threads of this process, the one with the first event among them.
        """
        vacant = self._vacant()
        some_live = any(self._locks.owner(PLACES + place) is not None for place in self._places)
        # A copy: while one thread starts workers, another one may.
        begun = [since for _, since in list(self._launches.values())]
        if some_live or any(now - since >= _ALONE_SECONDS for since in begun):
            return vacant
        return [] if self._starting() else vacant[:1]

    def _deserted(self) -> bool:
        """Whether no worker is there, and none that this process is starting."""
        return len(self._vacant()) == len(self._places)

    def _starting(self) -> bool:
        # A copy: while one thread starts workers, another one may.
        launches = list(self._launches.values())
        return bool(self._begun) or any(not launch.ready for launch, _ in launches)

    def _start(self, places: list[int], now: float) -> None:
        try:
            for place in places:
                self._launch(place, now)
        # No interpreter any more, no process, no memory, no descriptor.
        except (ConfigError, OSError) as error:
            self._failed(f"{type(error).__name__}: {error}", now)
        self._release_start()

    def _launch(self, place: int, now: float) -> None:
        """Start one, unless another thread is at it: the first event's, and the watch, say."""
        me = object()
        try:
            # First said, then looked: who comes later finds it said, or finds the launch.
            if self._begun.setdefault(place, me) is me and place in self._vacant():
                launch = Launch(self._inheritance, self._config, place, self._arena.path)
                self._launches[launch.status] = (launch, now)
                self._unreaped.append(launch)
        finally:
            if self._begun.get(place) is me:
                del self._begun[place]

    def _release_start(self) -> None:
        if self._locks.holds(STARTER) and not self._starting():
            self._locks.release(STARTER)

    def _bury(self, launch: Launch, since: float, now: float) -> None:
        del self._launches[launch.status]
        launch.close()
        if launch.found_its_place_taken:
            return
        if not launch.ready:
            by_accident = launch.is_silent and self._may_be_accident(since, now)
            self._failed(launch.error, now, by_accident=by_accident)
        elif self._wanted():
            _log.warning("worker %d died; its batches are sent again", launch.place)
            self._delay(now, grows=now - since < _LIVED_SECONDS)

    def _may_be_accident(self, since: float, now: float) -> bool:
        """Whether a death without a word may be one; those of one round of starts count once."""
        if since >= self._silent_at:
            self._silent_rounds += 1
            self._silent_at = now
        return self._silent_rounds <= _ACCIDENTS

    def _give_up_on_the_late(self, now: float) -> None:
        for launch, since in list(self._launches.values()):
            if not launch.ready and now - since > READY_SECONDS:
                launch.kill()
                del self._launches[launch.status]
                launch.close()
                self._failed(f"it was not ready within {READY_SECONDS:.0f} seconds", now)
        self._release_start()

    def _failed(self, error: str, now: float, *, by_accident: bool = False) -> None:
        self._delay(now, grows=True)
        if not by_accident:
            self.error = error.splitlines()[-1]  # of a traceback, the error
        _log.error("a worker could not start: %s", error)

    def _delay(self, now: float, *, grows: bool) -> None:
        self._failures = self._failures + 1 if grows else 0
        if self._failures:
            delay = _FIRST_DELAY * 2 ** min(self._failures - 1, 10)
            self._not_before = now + min(delay, _LONGEST_DELAY)
