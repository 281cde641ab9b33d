"""The loop: one thread that drives all connections of a worker without waiting for any of them.

    work pipe ──► claim ──► begin ──► send ──► … ──► response ──► finish ──► settled
                    │         │         │               │
                    └─────────┴─────────┴───────────────┴──► a helper continues

It does what is ordinary: a frame that no disk has to be asked about, an idle connection, a response
that says that the batch was delivered. Everything that may wait is done by a helper, with the code
that waits: connecting, a handshake, an unusual response, a failure, parking.

urllib3's pool owns the connections. The loop takes idle ones out of it and keeps them, also between
requests: a connection that the server closes is noticed without asking. It puts one back when a
helper needs one, and those that are closed.
"""

import math
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from dataart_mp import clock
from dataart_mp.delivery.verdict import is_success
from dataart_mp.queue import Frame, RecordQueue
from dataart_mp.queue.arena import READY
from dataart_mp.queue.status import PLACES_SHOWN, Status
from dataart_mp.queue.wakeup import WakeupPipe
from dataart_mp.transport.channel import Channel, Outcome
from dataart_mp.transport.ordinary_response import OrdinaryResponse
from dataart_mp.transport.sender import Sender
from dataart_mp.worker.gate import Gate
from dataart_mp.worker.helpers import Helpers
from dataart_mp.worker.poller import Poller
from dataart_mp.worker.request import DELIVERED, Moment, Released, Request
from dataart_mp.worker.shipper import Shipper

# Another process has a frame's lock for as long as it takes to see that the frame is not FREE.
_LOCK_SECONDS: Final = 0.001
# The longest time in which a change of the pace that another worker made goes unnoticed.
_LOOK_SECONDS: Final = 0.1
# While there is more to send, those that wait for room are notified once in this time. Each time, a
# producer starts to run, and fills as many frames as are free then.
_ROOM_SECONDS: Final = 0.001
# Unless so many parts of the buffer are free that there may soon be nothing to send.
_ROOM_PARTS: Final = 16
# How long a moment of sending lasts, because it takes longer to read than to send a request.
_MOMENT_SECONDS: Final = 0.001


class Loop:
    """Drives the requests of a worker; for one thread.

    Args:
        queue: The queue that frames come from.
        shipper: Decides what is sent, and what a response means.
        sender: Makes requests, and has the connections.
        helpers: Do what may wait.
        gate: Says how many requests may be in flight, and when the next one may begin.
        on_release: Called with the seconds after which a frame is tried again; with None when
            frames were settled, or wait for another one.
        place: The number of the worker, under which the arena shows its requests in flight.
    """

    def __init__(
        self,
        queue: RecordQueue,
        shipper: Shipper,
        sender: Sender,
        helpers: Helpers,
        gate: Gate,
        on_release: Callable[[float | None], None],
        place: int = PLACES_SHOWN,
    ) -> None:
        self._arena = queue.arena
        self._work = queue.work
        self._worker_end = queue.worker
        self._shipper = shipper
        self._sender = sender
        self._helpers = helpers
        self._gate = gate
        self._on_release = on_release
        self._words = queue.arena.words
        self._in_flight_word = Status(queue.arena).in_flight_word(place)
        self._shown = 0  # how many requests the arena shows
        self._wakeup = WakeupPipe.make()  # from helpers
        self._poller = Poller()
        self._poller.add(self._wakeup.read_fd)
        self._work_fd = self._work.make_nonblocking()
        self._poller.add_shared(self._work_fd)
        self._is_watching = True  # the work pipe
        self._may_be_work = True
        self._flights: dict[int, tuple[Channel, Request]] = {}  # by descriptor
        self._idle: dict[int, Channel] = {}
        self._helped = 0
        self._delivered: list[Frame] = []  # and not freed yet
        self._freed = 0  # frames that nobody was notified of yet
        self._notify_at = -math.inf  # when that is done at the latest
        self._has_released = False  # a frame, which is settled or waits for another one
        self._ended: deque[None] = deque()  # an entry for each task of a helper that has ended
        self._may_take = True  # whether the pool may have an idle connection
        self._announced: list[int] = []  # frames whose notification was read, and not more
        self._next_try = -math.inf  # when they may be claimed
        self._is_second_try = False
        self._next_deadline = math.inf  # no deadline of a flight is earlier
        self._now = clock.monotonic()
        self._moment = Moment.this()
        self._moment_until = self._now

    @property
    def in_flight(self) -> int:
        """How many requests are in flight, or are taken care of by helpers."""
        return len(self._flights) + self._helped

    def wake(self) -> None:
        """End a wait, so that the work pipe is read although nothing new is in it. For any thread.

        The kernel wakes one worker for each notification. If that one is stopped, the notification
        stays in the pipe.
        """
        self._wakeup.notify()

    def turn(self, seconds: float | None = None) -> None:
        """Wait until something can be done, at most `seconds`, and do it."""
        ready = self._poller.wait(self._seconds_to_wait(seconds))
        self._now = clock.monotonic()
        flights = self._flights
        for fd, _ in ready:
            if fd not in flights:  # first, so that no request is sent over a closed connection
                self._act_on(fd)
        for fd, _ in ready:
            flight = flights.get(fd)
            if flight is not None:
                self._check(*flight, flight[0].proceed(self._now))
        if self._now >= self._next_deadline:
            self._expire()
        self._free()
        while self._ended:
            self._ended.pop()
            self._helped -= 1
            self._may_take = True
        self._fetch()
        self._free()
        if self._freed:
            self._notify_of_room()
        if self.in_flight != self._shown:
            self._shown = self._words[self._in_flight_word] = self.in_flight
        if self._has_released:  # once for all of them
            self._has_released = False
            self._on_release(None)

    def _seconds_to_wait(self, seconds: float | None) -> float | None:
        if not self._flights and not self._announced and not self._freed:
            return seconds
        until = self._next_deadline - self._now if self._flights else math.inf
        if self._announced and self.in_flight < self._gate.limit:
            until = min(until, self._next_try - self._now)
        if self._freed:
            until = min(until, self._notify_at - self._now)
        if seconds is not None:
            until = min(until, seconds)
        return None if until == math.inf else max(0.0, until)

    def _free(self) -> None:
        """Free the frames that were delivered, all at once."""
        if self._delivered:
            self._worker_end.free(self._delivered)
            self._freed += len(self._delivered)
            self._delivered = []
            self._has_released = True

    def _notify_of_room(self) -> None:
        """Notify those that wait for room: at once if they may hold up the sending, else soon."""
        holds_up = not self._may_be_work or self._freed * _ROOM_PARTS >= self._arena.frames
        if holds_up or self._now >= self._notify_at:
            self._worker_end.notify_of_room(self._freed)
            self._freed = 0
            self._notify_at = self._now + _ROOM_SECONDS

    def _act_on(self, fd: int) -> None:
        """Act on a pipe, or on an idle connection that the server has closed."""
        if fd == self._work_fd:
            self._hear()
        elif fd == self._wakeup.read_fd:
            self._wakeup.drain()
            self._may_be_work = True
        else:  # or that the server has sent something over, which nothing requested
            self._drop(self._idle.pop(fd))

    def close(self) -> None:
        """Put its connections back, those in use closed, and close what it has opened itself."""
        while self._idle:
            self._lend()
        for channel, _ in self._flights.values():
            self._drop(channel)
        self._poller.close()
        self._wakeup.close()

    # From the work pipe

    def _fetch(self) -> None:
        """Claim frames, as many as may be in flight now, and begin to send them."""
        limit = self._gate.limit
        while True:
            room = limit - len(self._flights) - self._helped
            if room <= 0 or (self._announced and self._now < self._next_try):
                break
            if not self._announced:
                if not self._may_be_work:
                    break
                self._announced = self._work.read_at_once(room)
                self._may_be_work = len(self._announced) == room
            self._claim(room)
        if not self._is_watching and not self._may_be_work:
            self._is_watching = True
            self._poller.add_shared(self._work_fd)

    def _hear(self) -> None:
        """Note that there is work, and wait for no more of it while no request may begin."""
        self._may_be_work = True
        has_room = self.in_flight < self._gate.limit
        if not has_room or (self._announced and self._now < self._next_try):
            self._is_watching = False
            self._poller.remove(self._work_fd)

    def _claim(self, room: int) -> None:
        """Claim announced frames, and begin to send them, as far as it is their turn.

        Args:
            room: How many requests may begin.
        """
        if self._now >= self._moment_until:
            self._moment = Moment.this()
            self._moment_until = self._now + _MOMENT_SECONDS
        announced, self._announced = self._announced, []
        is_second_try, self._is_second_try = self._is_second_try, False
        arena, is_limited = self._arena, self._gate.is_limited
        locked: list[int] = []
        for position, number in enumerate(announced):
            # A turn is not taken for a frame that another one has joined or claimed.
            is_turn = is_limited and arena.state(number) == READY
            delay = self._gate.take_turn(self._now) if is_turn and room > 0 else 0.0
            if delay > 0 or room <= 0:
                self._announced = locked + announced[position:]
                self._next_try = self._now + min(delay, _LOOK_SECONDS)
                return
            frame = Frame.claim(arena, number)
            if frame is not None:
                self.begin(frame, self._moment)
                room -= 1
            elif arena.state(number) == READY:
                locked.append(number)
        if locked and not is_second_try:  # else the next check of the queue finds them
            self._announced, self._is_second_try = locked, True
            self._next_try = self._now + _LOCK_SECONDS

    def begin(self, frame: Frame, moment: Moment) -> None:
        """Begin to send a claimed frame.

        Args:
            frame: The frame; the caller holds it no longer.
            moment: When it is sent.
        """
        step = self._shipper.begin_at_once(frame, moment, self._now)
        if isinstance(step, Request):
            self._send(step)
        elif step is None:
            self._lend()
            self._help(partial(self._shipper.ship, frame))
        else:
            self._release(step)

    # One request

    def _send(self, step: Request) -> None:
        """Send a request over an idle connection, or have a helper send it."""
        channel = self._idle.popitem()[1] if self._idle else self._take()
        if channel is None:
            self._help(partial(self._shipper.send_all, step))
            return
        batch = step.batch
        request = self._sender.request(batch.path, step.body(), batch.key)
        self._flights[channel.fd] = channel, step
        self._check(channel, step, channel.send(request, clock.monotonic()))

    def _expire(self) -> None:
        """Continue with the requests whose time is over, and find the next deadline."""
        for channel, request in list(self._flights.values()):
            if channel.deadline <= self._now:
                self._check(channel, request, channel.expire(self._now))
        deadlines = (channel.deadline for channel, _ in self._flights.values())
        self._next_deadline = min(deadlines, default=math.inf)

    def _check(self, channel: Channel, request: Request, outcome: Outcome | None) -> None:
        """Act on the outcome of a request, or wait for the socket."""
        if outcome is None:
            if channel.deadline < self._next_deadline:
                self._next_deadline = channel.deadline
            if channel.wants_to_write is not channel.is_watched_to_write:
                channel.is_watched_to_write = channel.wants_to_write
                self._poller.modify(channel.fd, to_write=channel.wants_to_write)
            return
        fd = channel.fd
        del self._flights[fd]
        if isinstance(outcome, OrdinaryResponse):
            if channel.is_reusable and not channel.is_watched_to_write:
                self._idle[fd] = channel
            else:
                self._drop(channel)
            if is_success(outcome.status):
                step = self._shipper.finish_at_once(request, self._now)
                if step is DELIVERED:  # as nearly always
                    self._delivered.append(request.frame)
                    return
                if isinstance(step, Request):
                    self._send(step)
                    return
                if step is not None:
                    self._release(step)
                    return
        else:
            self._poller.remove(fd)
        self._help(partial(self._complete, request, outcome, channel))

    def _complete(self, request: Request, outcome: Outcome, channel: Channel) -> float | None:
        """Continue, in a helper, after an outcome that is not that of a delivery."""
        batch = request.batch
        response = self._sender.complete(
            outcome, channel.connection, batch.path, request.body(), batch.key
        )
        return self._shipper.send_all(self._shipper.finish(request, response))

    def _release(self, released: Released) -> None:
        """Note that the frame of a request was released."""
        if released.seconds is None:
            self._has_released = True
        else:
            self._on_release(released.seconds)

    # Connections

    def _take(self) -> Channel | None:
        """Take an idle connection out of the pool; None when there is none."""
        channel = self._sender.take_channel() if self._may_take else None
        if channel is None:
            self._may_take = False
        else:
            self._poller.add(channel.fd)
        return channel

    def _lend(self) -> None:
        """Put an idle connection back into the pool, for a helper."""
        if self._idle:
            channel = self._idle.popitem()[1]
            self._poller.remove(channel.fd)
            self._sender.put_back(channel.connection)

    def _drop(self, channel: Channel) -> None:
        """Close a connection. urllib3 takes it next, and connects it again."""
        self._poller.remove(channel.fd)
        channel.connection.close()
        self._sender.put_back(channel.connection)

    # Helpers

    def _help(self, work: Callable[[], float | None]) -> None:
        """Have a helper do what may wait, and release a frame."""
        self._helped += 1
        self._helpers.run(partial(self._run, work))
        self._now = clock.monotonic()  # without a helper, this thread has done it

    def _run(self, work: Callable[[], float | None]) -> None:
        self._on_release(work())
        self._ended.append(None)
        self.wake()
