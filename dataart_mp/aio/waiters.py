"""The waiters: tasks of one event loop that wait for room in the buffer, or for a mark.

    wakeup pipe ──readable──► the first task in line tries ──► leaves, and wakes the next one
                      └─────► the oldest marks are looked at

The event loop itself waits for the pipe, so no thread is used. A notification may be missed,
because other waiters read the same pipe. So the loop also looks every 50 ms.
"""

import asyncio
import contextlib
import heapq
import itertools
import queue
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from dataart_mp.aio.eager_client import NotNowError
from dataart_mp.queue import AbandonedError
from dataart_mp.queue.mark import Mark
from dataart_mp.queue.room import Room

if TYPE_CHECKING:
    from dataart_mp.queue.marks import Pending

_LOOK_SECONDS: Final = 0.05
# To look at all frames takes up to 0.3 ms, and a frame may be settled every 20 us.
_MARK_SECONDS: Final = 0.005

Result = TypeVar("Result")
Place = asyncio.Future[None]


class Waiters:
    """Waits for the tasks of one event loop, as long as there are any.

    Args:
        loop: The running event loop.
        room: A visit of the queue; it is ended here.
        began_line: Called when a task waits for room, and none did before.
        ended_line: Called when no task waits for room any more.
        ended: Called when no task waits any more.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        room: Room,
        *,
        began_line: Callable[[], object],
        ended_line: Callable[[], object],
        ended: Callable[[], object],
    ) -> None:
        self._loop = loop
        self._room = room
        self._began_line = began_line
        self._ended_line = ended_line
        self._ended = ended
        self._line: OrderedDict[object, Place] = OrderedDict()
        self._marks: list[tuple[int, int, Mark, Place]] = []
        self._numbers = itertools.count()
        self._waiting = 0
        self._fd = -1
        self._timer: asyncio.TimerHandle | None = None
        self._marks_timer: asyncio.TimerHandle | None = None

    # Room

    async def in_turn(self, attempt: Callable[[], Result], timeout: float | None) -> Result:
        """Make an attempt when it is this task's turn, until it does not raise NotNowError.

        Args:
            attempt: What is tried. It is tried at least once.
            timeout: Seconds; None waits without a limit.

        Raises:
            queue.Full: The time is over.
            AbandonedError: No worker can run.
            ClosedError: The queue was closed meanwhile.
        """
        me = object()
        self._line[me] = self._loop.create_future()
        self._began_line()
        deadline = None if timeout is None else self._loop.time() + timeout
        expiry = None if deadline is None else self._loop.call_at(deadline, self._wake, me)
        self._begin()
        try:
            while True:
                if next(iter(self._line)) is me:
                    with contextlib.suppress(NotNowError):
                        return attempt()
                if deadline is not None and self._loop.time() >= deadline:
                    raise queue.Full
                await self._line[me]
                self._line[me] = self._loop.create_future()
        finally:
            if expiry is not None:
                expiry.cancel()
            del self._line[me]
            if not self._line:
                self._ended_line()
            self._wake_first()
            self._end()

    def _wake(self, waiter: object) -> None:
        _finish(self._line[waiter])

    def _wake_first(self) -> None:
        if self._line:
            self._wake(next(iter(self._line)))

    # Marks

    async def until_settled(self, mark: Mark, timeout: float | None) -> None:
        """Wait until nothing is pending before a mark, or the time is over, or no worker can run.

        Args:
            mark: The mark.
            timeout: Seconds; None waits without a limit.
        """
        place = self._loop.create_future()
        heapq.heappush(self._marks, (mark.epoch, next(self._numbers), mark, place))
        self._begin()
        expiry = None if timeout is None else self._loop.call_later(timeout, _finish, place)
        try:
            self._look_at_marks()
            await place
        finally:
            if expiry is not None:
                expiry.cancel()
            if not place.done():
                place.cancel()
            self._end()

    def _look_at_marks_soon(self) -> None:
        if self._marks and self._marks_timer is None:
            self._marks_timer = self._loop.call_later(_MARK_SECONDS, self._look_at_marks)

    def _look_at_marks(self) -> None:
        """Wake the tasks whose marks are settled. A mark is settled no earlier than older ones."""
        if self._marks_timer is not None:
            self._marks_timer.cancel()
            self._marks_timer = None
        pending: Pending | None = None
        while self._marks:
            _, _, mark, place = self._marks[0]
            if not place.done():
                pending = mark.look() if pending is None else pending
                if not mark.is_settled(pending):
                    break
            heapq.heappop(self._marks)
            _finish(place)

    # The pipe

    def _begin(self) -> None:
        self._waiting += 1
        if self._timer is None:
            self._look()

    def _end(self) -> None:
        self._waiting -= 1
        if self._waiting:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._marks_timer is not None:
            self._marks_timer.cancel()
            self._marks_timer = None
        self._stop_reading()
        self._room.end()
        self._ended()

    def _look(self) -> None:
        """Look without having been notified, and have workers send notifications."""
        self._timer = self._loop.call_later(_LOOK_SECONDS, self._look)
        try:
            self._room.request()
        except (AbandonedError, ValueError) as error:  # ClosedError is a ValueError
            self._give_up(error)
            return
        self._read_on()
        self._wake_first()
        self._look_at_marks_soon()

    def _notified(self) -> None:
        self._room.read()
        if self._room.is_closed:
            self._look()
            return
        self._wake_first()
        self._look_at_marks_soon()

    def _read_on(self) -> None:
        fd = self._room.fd
        if fd == self._fd:
            return
        self._stop_reading()
        if fd >= 0:
            self._loop.add_reader(fd, self._notified)
        self._fd = fd

    def _stop_reading(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._fd = -1

    def _give_up(self, error: Exception) -> None:
        """Wake all tasks, because what they wait for does not happen."""
        for place in self._line.values():
            if not place.done():
                place.set_exception(error)
        for *_, place in self._marks:
            _finish(place)
        self._marks.clear()


def _finish(place: Place) -> None:
    if not place.done():
        place.set_result(None)
