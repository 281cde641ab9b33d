"""The supervisor: it keeps a live worker in every place."""

import logging
import math
import time
from dataclasses import replace
from typing import Final

from dataart_mp import clock
from dataart_mp.config import ClientConfig
from dataart_mp.errors import ConfigError
from dataart_mp.queue.locks import PLACES, STARTER
from dataart_mp.queue.record_queue import RecordQueue
from dataart_mp.queue.role import may_act
from dataart_mp.supervision import adopted
from dataart_mp.supervision.launch import Launch
from dataart_mp.supervision.launches import Launches
from dataart_mp.supervision.restart import RestartPolicy
from dataart_mp.supervision.wiring import Inheritance, Wiring

_log = logging.getLogger("dataart_mp")

# After this time, other workers are started even if the first one is not ready.
_ALONE_SECONDS: Final = 1.0
READY_SECONDS: Final = 30.0
"""A worker that is not ready after this time is killed."""
# How long the end of a process waits for another thread that is starting a worker.
_LAST_START_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.001


class Supervisor:
    """Starts and restarts the workers of one queue. Several processes may each have one.

    Only the process that holds the STARTER lock starts workers, and it holds the lock until they
    are ready. So no two processes start a worker for the same place, or many at the same moment. A
    holder that is stopped is not waited for.

    Args:
        queue: The queue whose frames the workers deliver.
        wiring: The pipes that the workers inherit.
        config: The client's settings.

    Attributes:
        error: The last line of the latest error of a start; None once a worker became ready.
    """

    def __init__(self, queue: RecordQueue, wiring: Wiring, config: ClientConfig) -> None:
        self.error: str | None = None
        self._arena = queue.arena
        self._locks = queue.arena.locks
        self._inheritance = Inheritance.of(queue, wiring)
        # Chosen once: the number of CPUs may change, and a worker may see other ones.
        self._config = replace(config, flush_num_processes=config.num_processes)
        self._places = range(config.num_processes)
        self._launches = Launches()
        self._restarts = RestartPolicy()
        self._not_before = 0.0
        self._rival: tuple[int | None, float] | None = None  # another starter, and since when

    @property
    def sentinels(self) -> list[int]:
        """Descriptors that become readable when a worker becomes ready or ends."""
        return self._launches.sentinels

    def workers(self) -> list[int]:
        """Return the process ids of the live workers, whichever process started them."""
        owners = (self._locks.owner(PLACES + place) for place in self._places)
        # The kernel reports 0 for a process that is dying, or is outside our PID namespace. As the
        # target of a signal, 0 would mean our own process group.
        return [owner for owner in owners if owner]

    def ensure_one(self, now: float) -> None:
        """Start a worker if there is none, so that accepted records outlive this process.

        This takes a millisecond. The worker is not ready then, but no longer needs this process.
        """
        if self._has_no_worker() and self._may_start(now):
            self._start(self._vacant()[:1], now)

    def ensure_one_remains(self, now: float) -> None:
        """Make sure, before this process ends, that a worker delivers the remaining records."""
        deadline = now + _LAST_START_SECONDS
        while self._has_no_worker() and not self._arena.all_free() and now < deadline:
            self.ensure_one(now)
            if not self._locks.holds(STARTER):
                break  # another process is starting one, or none can be started
            time.sleep(_POLL_SECONDS)  # another thread of this process is starting one
            now = clock.monotonic()

    def check(self, now: float) -> None:
        """Start the workers that are missing, unless it is too early or another process does."""
        self._kill_late_starts(now)
        self._launches.reap()
        adopted.reap()
        if now < self._not_before or not self._needs_workers():
            return
        places = self._next_places(now)
        if places and self._may_start(now):
            self._start(places, now)

    def due(self, now: float) -> float:
        """Return the seconds until `check` may restart workers; infinite if it need not wait."""
        return self._not_before - now if self._not_before > now else math.inf

    def read_status(self, status: int, now: float) -> None:
        """Read the status of the worker whose sentinel is readable."""
        launch, started = self._launches[status]
        was_ready = launch.ready
        alive = launch.read()
        if launch.ready and not was_ready:
            self.error = None
            self._restarts.after_ready()
        if not alive:
            self._launches.remove(launch)
            self._after_end(launch, started, now)
        self._release_starter()

    def unavailable_reason(self) -> str | None:
        """Return why no worker is running or can be started; None if one is, or may be."""
        error = self.error
        return error if error is not None and self._has_no_worker() else None

    def wait(self, seconds: float) -> None:
        """Wait until the workers that this process started have ended, at most `seconds`."""
        self._launches.wait(seconds)

    def reap(self, seconds: float) -> None:
        """Reap what this process started and has ended; wait for what is about to end.

        Args:
            seconds: The longest wait.
        """
        self._launches.reap(seconds)

    def close(self, seconds: float = 0.0) -> None:
        """Watch the workers no longer; they live on. Another process may start workers then.

        Args:
            seconds: As for `reap`.
        """
        self._launches.reap(seconds)
        self._launches.close()
        self._reset()
        if self._locks.holds(STARTER):
            self._locks.release(STARTER)

    def forked(self) -> None:
        """Reset this supervisor in a forked child: the parent watches the workers it started."""
        self._launches.forget()
        self._reset()

    def _reset(self) -> None:
        self._restarts.reset()
        self._not_before = 0.0

    def _needs_workers(self) -> bool:
        return not self._arena.closed or not self._arena.all_free()

    def _has_no_worker(self) -> bool:
        """Whether no place has a worker, or one that this process is starting."""
        return len(self._vacant()) == len(self._places)

    def _vacant(self) -> list[int]:
        """Return the places without a worker, and without one that this process is starting."""
        starting = self._launches.starting_places()
        return [
            place
            for place in self._places
            if place not in starting and self._locks.owner(PLACES + place) is None
        ]

    def _next_places(self, now: float) -> list[int]:
        """Return the places to start workers for now: if there is no worker, only one.

        A start slows down all threads of this process, including the one with the first event.
        """
        vacant = self._vacant()
        any_live = any(self._locks.owner(PLACES + place) is not None for place in self._places)
        waited = any(now - started >= _ALONE_SECONDS for _, started in self._launches.all())
        if any_live or waited:
            return vacant
        return [] if self._launches.is_starting() else vacant[:1]

    def _may_start(self, now: float) -> bool:
        """Whether this process holds the STARTER lock, or need not wait for the one that does.

        That one may be stopped (SIGSTOP, a debugger, a frozen container). Starting without the lock
        is safe, because the lock of a place decides between two workers.
        """
        if self._locks.holds(STARTER) or may_act(self._locks, STARTER):
            self._rival = None
            return True
        owner = self._locks.owner(STARTER)
        if self._rival is None or self._rival[0] != owner:
            self._rival = (owner, now)
        return now - self._rival[1] > READY_SECONDS

    def _start(self, places: list[int], now: float) -> None:
        try:
            for place in places:
                self._launches.start(place, now, self._launch)
        # There is no interpreter, or no process, memory or descriptor is available.
        except (ConfigError, OSError) as error:
            self._failed(f"{type(error).__name__}: {error}", now)
        self._release_starter()

    def _launch(self, place: int) -> Launch | None:
        if place not in self._vacant():
            return None
        return Launch(self._inheritance, self._config, place, self._arena.path)

    def _release_starter(self) -> None:
        if self._locks.holds(STARTER) and not self._launches.is_starting():
            self._locks.release(STARTER)

    def _after_end(self, launch: Launch, started: float, now: float) -> None:
        if launch.place_was_taken:
            return
        if not launch.ready:
            killed = launch.is_silent and self._restarts.may_be_killed(started, now)
            self._failed(launch.error, now, killed=killed)
        elif self._needs_workers():
            _log.warning("worker %d died; its batches will be sent again", launch.place)
            self._delay(self._restarts.after_death(now - started), now)

    def _kill_late_starts(self, now: float) -> None:
        for launch, started in self._launches.all():
            if not launch.ready and now - started > READY_SECONDS:
                launch.kill()
                self._launches.remove(launch)
                self._failed(f"it was not ready within {READY_SECONDS:.0f} seconds", now)
        self._release_starter()

    def _failed(self, error: str, now: float, *, killed: bool = False) -> None:
        self._delay(self._restarts.after_failed_start(), now)
        if not killed:
            self.error = error.splitlines()[-1]  # of a traceback, the exception
        _log.error("a worker could not start: %s", error)

    def _delay(self, seconds: float, now: float) -> None:
        if seconds:
            self._not_before = now + seconds
