"""Lifetime: how a process begins to use a queue, forks, waits, and stops using it.

Calls on the queue are visits. `close` waits for the other visitors, and the last one to leave a
closed queue closes its descriptors, so that no call finds a descriptor closed under it.

No lock of Python's is used here. A list's `append` and `pop` and a dict's `setdefault` are single
steps, so a signal handler, `__del__` and a child forked at any moment can call the queue.
"""

import contextlib
import os
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from typing import Final

from dataart_mp import clock
from dataart_mp.errors import ClosedError, DescriptorsClosedError
from dataart_mp.queue import guard
from dataart_mp.queue.arena import FREE, Arena
from dataart_mp.queue.companion import AbandonedError, Companion, NoCompanion
from dataart_mp.queue.deadline import Deadline
from dataart_mp.queue.wakeup import WakeupPipe

# A waiter that shares its pipe with others may miss a notification: it looks this often itself.
_LOOK_SECONDS: Final = 0.05
# How long the workers notify waiters after somebody has stored that it waits.
_WANTED_NS: Final = 1_000_000_000
# How long `close` waits for other threads to leave the queue.
_VISITORS_SECONDS: Final = 1.0
# How long a thread waits while another one prepares the process for the queue.
_PREPARE_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.001
# How long a wait lasts when the application has closed the descriptors.
_LOST_SECONDS: Final = 10.0


class Lifetime:
    """One process's use of one queue.

    Args:
        arena: The queue's arena.
        work: The pipe that notifies workers.
        room: The pipe that notifies those that wait for frames to be settled.
        rebuild: Rebuilds, in a forked child, what the fork breaks, and ends with `arm`.

    Attributes:
        room: The pipe that notifies those that wait.
        guard: Holds 1 as long as this process may use the queue without a further check.
        companion: Provides workers.
        closed: Whether this process has closed the queue.
        visitors: The calls in progress; each removes itself when its `Visitor` is collected.
        is_started: Whether the companion has provided workers for this process.
    """

    def __init__(
        self, arena: Arena, work: WakeupPipe, room: WakeupPipe, rebuild: Callable[[], None]
    ) -> None:
        # The queue holds this object; a strong reference back would leave both to the collector.
        self._rebuild = weakref.WeakMethod(rebuild)
        self._arena = arena
        self._work = work
        self.room = room
        self.guard = guard.make()
        self.companion: Companion = NoCompanion()
        self.closed = False
        self._released = False
        self.start_afresh()
        self.arm()
        _lifetimes.add(self)

    # Fork

    def start_afresh(self) -> None:
        """Forget what belongs to the process: in a forked child it is the parent's."""
        self.visitors: list[weakref.ref[Visitor]] = []
        self.is_started = False
        self._starting: dict[None, tuple[int, object]] = {}

    def arm(self) -> None:
        """Let this process use the queue, from now on without a further check."""
        self._to_rebuild: list[None] = [None]
        self.guard[0] = 1

    def after_fork(self) -> None:
        """Rebuild, in a forked child, what the fork breaks."""
        rebuild = self._rebuild()
        if rebuild is not None:
            rebuild()

    def check(self) -> None:
        """Make sure that this process may use the queue; in a forked child, rebuild it first.

        Raises:
            ClosedError: The queue is closed.
        """
        if not self.guard[0]:
            self.reconsider()

    def reconsider(self) -> None:
        """Find out why the guard holds 0: the queue is closed, or this is a forked child.

        Raises:
            ClosedError: The queue is closed.
        """
        if self.closed:
            raise self.closed_error()
        try:
            self._to_rebuild.pop()
        except IndexError:  # another thread of the child rebuilds it
            deadline = Deadline(_PREPARE_SECONDS)
            while not self.guard[0] and not deadline.over():
                time.sleep(_PAUSE_SECONDS)
        if not self.guard[0]:
            self.after_fork()

    # The first frame

    def ensure_started(self) -> None:
        """Have workers provided once; a thread that comes meanwhile waits for it."""
        me = (threading.get_ident(), object())
        deadline = Deadline(_PREPARE_SECONDS)
        while not self.is_started and not deadline.over():
            try:
                starting = self._starting.setdefault(None, me)
                if starting is me:
                    self.companion.ensure_started()
                    self.is_started = True
            finally:
                if self._starting.get(None) is me:
                    self._starting.pop(None, None)
            if starting[0] == me[0]:  # done, or this call has interrupted the one that is at it
                return
            time.sleep(_PAUSE_SECONDS)

    # Waiting

    def wait_for(self, reached: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until `reached()`, which is asked at each notification that a frame was settled.

        Args:
            reached: What is waited for.
            timeout: Seconds; None waits without a limit.

        Returns:
            False when the time is over.

        Raises:
            AbandonedError: No worker can run.
            ClosedError: The queue was closed meanwhile.
        """
        deadline, started = Deadline(timeout), clock.monotonic()
        has_waited = False
        while True:
            self.request_notifications()
            if reached():
                if has_waited and self._arena.find(FREE) >= 0:
                    self.room.notify()  # There are fewer notifications than free frames.
                return True
            if deadline.over():
                return False
            self.check_available(started)
            if self.closed:
                raise self.closed_error()
            self.room.wait_at_most(deadline.at_most(_LOOK_SECONDS))
            has_waited = True

    def request_notifications(self) -> None:
        """Have workers notify those that wait, within the next second."""
        self._arena.wanted_until = clock.monotonic_ns() + _WANTED_NS

    def check_available(self, started: float) -> None:
        """Raise AbandonedError if waiting since `started` (monotonic, seconds) is pointless."""
        try:
            reason = self.companion.unavailable_reason()
        except DescriptorsClosedError as error:
            # Workers have their own descriptors and may deliver; this process cannot find out.
            reason = str(error) if clock.monotonic() > started + _LOST_SECONDS else None
        if reason is not None:
            raise AbandonedError(reason)

    # Visits and close

    @contextlib.contextmanager
    def visit(self) -> Iterator[None]:
        """Keep the descriptors open inside."""
        visitor = Visitor()
        try:
            self.visitors.append(weakref.ref(visitor, self.visitors.remove))
            yield
        except BaseException as error:
            self.let_go(error)
            raise
        finally:
            del visitor
            self.release_if_closed()

    def release_if_closed(self) -> None:
        """Close a closed queue's descriptors if the last visitor has left."""
        if self.closed:
            self._release()

    def let_go(self, error: BaseException) -> None:
        """Drop what the frames of a traceback refer to.

        Somebody may keep the traceback (a REPL does), and a frame writer that no thread uses any
        more must be collected to be found.

        Raises:
            ClosedError: The error comes of a descriptor that `close` has closed.
        """
        traceback.clear_frames(error.__traceback__)
        if self.closed and isinstance(error, OSError | ValueError):
            raise self.closed_error() from error

    def close(self, drain: Callable[[], bool]) -> None:
        """Stop using the queue in this process. A second call does nothing.

        Args:
            drain: Seals what can be sealed, and returns whether nothing is open any more.
        """
        if self._released:
            return
        first = not self.closed  # else another thread closes it, or was interrupted
        if first:
            self.check()
        with self.visit():  # before others see that it is closed, so that this call leaves last
            self.closed = True
            self.guard[0] = 0
            _lifetimes.discard(self)
            if first:
                self._await_visitors(drain)

    def closed_error(self) -> ClosedError:
        """Return the error of a call on a closed queue."""
        return ClosedError()

    def _await_visitors(self, drain: Callable[[], bool]) -> None:
        """Wait for the other visitors to put back their writers and to leave."""
        deadline = Deadline(_VISITORS_SECONDS)
        drained = drain()
        while (len(self.visitors) > 1 or not drained) and not deadline.over():
            self.room.notify()
            time.sleep(_PAUSE_SECONDS)
            drained = drain()

    def _release(self) -> None:
        if not self.visitors:
            self._arena.close()
            self._work.close()
            self.room.close()
            self._released = True


class Visitor:
    """Stands for a call in progress. Its collection ends the visit, however the call ends."""

    __slots__ = ("__weakref__",)


_lifetimes: weakref.WeakSet[Lifetime] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for each in list(_lifetimes):
        each.after_fork()


# A hook cannot be removed, so there is one, for all queues that exist.
os.register_at_fork(after_in_child=_after_fork_in_child)
