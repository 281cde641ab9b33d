"""Helpers: the threads of a worker that do what may wait."""

import queue
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

Task = Callable[[], None]
_IDLE_SECONDS: Final = 5.0


class Helpers:
    """Threads that are started when there is a task for them, and end when there is none.

    Args:
        most: How many there are at most. No more tasks are unfinished at the same time.
        guard: Returns a context for each thread, which must not let an exception pass.
        too_few: Called with the number of threads and the error when the system does not allow
            another one, the first time.
    """

    def __init__(
        self,
        most: int,
        guard: Callable[[], AbstractContextManager[None]],
        too_few: Callable[[int, RuntimeError], None],
    ) -> None:
        self._most = most
        self._guard = guard
        self._too_few = too_few
        self._has_reported = False
        self._tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._unfinished = 0

    @property
    def count(self) -> int:
        """How many threads there are now."""
        return self._threads

    def run(self, task: Task) -> None:
        """Have a thread run a task. If there is none, and none can be started, the caller runs it.

        Args:
            task: What to do; it raises nothing that the process could survive.
        """
        with self._lock:
            self._unfinished += 1
            is_enough = self._unfinished <= self._threads or self._threads >= self._most
            if not is_enough:
                self._threads += 1
        if is_enough or self._start():
            self._tasks.put(task)
        else:
            self._run(task)

    def _start(self) -> bool:
        """Start a thread that was counted; False if none is left to run a task."""
        try:
            threading.Thread(target=self._work, name="helper", daemon=True).start()
        except RuntimeError as error:  # a limit of memory or of processes
            with self._lock:
                self._threads -= 1
                threads = self._threads
            if not self._has_reported:
                self._has_reported = True
                self._too_few(threads, error)
            return threads > 0
        return True

    def _work(self) -> None:
        with self._guard():
            while (task := self._next()) is not None:
                self._run(task)

    def _next(self) -> Task | None:
        """Wait for a task; None if the thread is to end."""
        while True:
            try:
                return self._tasks.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                with self._lock:
                    if self._threads > self._unfinished:
                        self._threads -= 1
                        return None

    def _run(self, task: Task) -> None:
        try:
            task()
        finally:
            with self._lock:
                self._unfinished -= 1
