"""The worker's end of the queue: frames are fetched, joined, handed back and settled."""

import time
from collections.abc import Sequence
from typing import Final

from dataart_mp import clock
from dataart_mp.queue import janitor, joining
from dataart_mp.queue.account import ACTIONS, IDENTITY, Evicted
from dataart_mp.queue.arena import JOINED, READY, SENDING, SETTLED, WAITING, Arena
from dataart_mp.queue.frame import Frame
from dataart_mp.queue.frame_writer import FrameWriter
from dataart_mp.queue.locks import spans
from dataart_mp.queue.release import clear, make_free, make_ready, wake
from dataart_mp.queue.wakeup import WakeupPipe

_LOCK_SECONDS: Final = 0.001
# A waiter that finds room for a frame often fills several, and one that leaves room notifies the
# next one. Each notification that is not needed costs a waiter a look.
_MOST_NOTIFIED: Final = 4
_WAITING: Final = bytes((WAITING, JOINED))  # the states of frames that wait, also with another one
_NOTHING_EVICTED: Final = Evicted(0, 0)


class WorkerEnd:
    """What a process that delivers does with a queue; for any thread.

    Args:
        arena: Where the frames are.
        work: The pipe that notifies workers.
        room: The pipe that notifies those that wait for frames to be settled.
    """

    def __init__(self, arena: Arena, work: WakeupPipe, room: WakeupPipe) -> None:
        self._arena = arena
        self._work = work
        self._room = room

    def fetch(self) -> Frame | None:
        """Wait for a notification and claim its frame; None when another worker has claimed it."""
        return self._claim(self._work.wait())

    def fetch_at_once(self) -> Frame | None:
        """Claim the frame of a notification; None when there is no notification, or as `fetch`."""
        number = self._work.wait_at_most(0)
        return None if number is None else self._claim(number)

    def _claim(self, number: int) -> Frame | None:
        frame = Frame.claim(self._arena, number)
        if frame is None and self._arena.state(number) == READY:
            # Some process has its lock for as long as it takes to see that it is not FREE.
            time.sleep(_LOCK_SECONDS)
            frame = Frame.claim(self._arena, number)
        return frame

    def join_ready(
        self, frame: Frame, records: int, size: int, *, refused_too: bool = True
    ) -> None:
        """Join frames that are READY to a claimed one, to send them in one request.

        Args:
            frame: The frame, as it was claimed.
            records: The most records of the request.
            size: The most bytes of records of the request.
            refused_too: Whether to join frames that were sent, and that the platform was too busy
                for. Their time has begun, which matters if it is limited.
        """
        if frame.count >= records:  # always, if a frame fills a request
            return
        if not frame.can_lead or (frame.was_refused and not refused_too):
            return
        length = frame.length
        count = frame.content(0, length).count(b"\n") if frame.has_followers else frame.count
        seen = joining.candidates(
            self._arena, records - count, size - length, refused_too=refused_too
        )
        passed_over = joining.join(self._arena, frame.number, seen, frame, frame.followers)
        for number in passed_over:
            if self._arena.state(number) == READY:
                self._work.notify(number)  # a worker may have found it locked

    @property
    def has_ready(self) -> bool:
        """Whether a frame waits for a worker."""
        return self._arena.find(READY) >= 0

    @property
    def is_stuck(self) -> bool:
        """Whether every frame waits for its next attempt, so that no new one can be filled."""
        return not self._arena.states().strip(_WAITING)

    def has_any(self, is_identity: bool) -> bool:
        """Return whether a frame of a kind is sent, or waits for a worker or for its next attempt.

        Args:
            is_identity: True for an identity, False for actions.
        """
        arena, kind = self._arena, IDENTITY if is_identity else ACTIONS
        used = (number for state in (READY, SENDING, WAITING) for number in arena.all_in(state))
        return any(arena.account(number).kind == kind for number in used)

    def hand_back(self, frame: Frame) -> None:
        """Let any worker continue with a claimed frame at once."""
        make_ready(self._arena, frame.number)
        self._work.notify(frame.number)

    def settle(self, frame: Frame) -> None:
        """Free a claimed frame all of whose content is finished."""
        self._settle(frame, 0, _NOTHING_EVICTED)

    def settle_delivered(self, frame: Frame, length: int) -> None:
        """Settle a frame that was fresh, and all of which one request has delivered.

        It is the short way of nearly all frames: the same stores as by `Frame.advance` and
        `settle`, in the same order, but the caller has to `free` the frame.

        Args:
            frame: The frame, to which nothing was joined.
            length: Its length.
        """
        arena = self._arena
        frame.account.close_delivered(length)
        arena.memory[arena.state_at(frame.number)] = SETTLED

    def free(self, frames: Sequence[Frame]) -> None:
        """Free settled frames together, which takes fewer calls to the kernel than one by one.

        `notify_of_room` must follow.

        Args:
            frames: The frames, which the caller holds no longer. If this process dies before, the
                janitor frees them.
        """
        arena = self._arena
        if len(frames) == 1:  # as nearly always when few requests are in flight
            make_free(arena, frames[0].number)
        else:
            for span in spans(sorted([frame.number for frame in frames])):
                for number in span:
                    clear(arena, number)
                arena.locks.release_range(span)

    def notify_of_room(self, frames: int = 1) -> None:
        """Notify those that wait for frames to be settled.

        Args:
            frames: How many were freed.
        """
        wanted_until = self._arena.wanted_until
        if wanted_until and wanted_until > clock.monotonic_ns():
            self._room.notify_each(min(frames, _MOST_NOTIFIED))

    def settle_parked(self, frame: Frame, evicted: Evicted) -> None:
        """Free a claimed frame of which all that is not done with is parked.

        Args:
            frame: The frame.
            evicted: Parked records that were discarded to make room for it; they count as failed.
        """
        frame.note_parked()
        rest = frame.content(frame.account.through, frame.length)
        self._settle(frame, rest.count(b"\n"), evicted)

    def write_off(self, parked: int) -> bool:
        """Count parked records as failed that cannot be sent any more.

        Args:
            parked: Their number.

        Returns:
            False when no frame is free that could count them.
        """
        arena = self._arena
        writer = FrameWriter.open(arena, ACTIONS, 1, 0.0)
        if writer is None:
            return False
        number, _ = writer.claim
        account = arena.account(number)
        account.seal(0, 0)
        arena.set_state(number, SENDING)  # a death from here on leaves a frame that counts nothing
        account.close(0, Evicted(parked, 0))
        arena.set_state(number, SETTLED)
        make_free(arena, number)
        return True

    def retry_now(self) -> None:
        """Make READY what waits for its next attempt, where the platform allows an attempt now.

        Such an attempt is an additional one: if it fails, the frame waits as if it had not been
        made.
        """
        self._wake(clock.now(), early=True)

    def retry_one(self, is_identity: bool) -> None:
        """Make one frame READY, as `retry_now` does: the one that has waited longest.

        Args:
            is_identity: True for an identity, False for actions.
        """
        arena, kind, now = self._arena, IDENTITY if is_identity else ACTIONS, clock.now()
        waiting = [each for each in arena.all_in(WAITING) if arena.account(each).kind == kind]
        for number in sorted(waiting, key=lambda each: arena.account(each).postponed):
            if wake(arena, number, now, early=True):
                self._work.notify(number)
                return

    def look(self, now: int) -> int | None:
        """Find what no notification has announced, and announce it.

        That is: frames whose backoff is over, frames of dead processes, and READY frames whose
        notification was lost.

        Args:
            now: The time (ns of the clock of the queue).

        Returns:
            When the next frame is due (ns); None when none waits.
        """
        self._wake(now)
        for number in janitor.sweep(self._arena):
            self._work.notify(number)
        if not self._work.has_notifications():
            for number in self._arena.all_in(READY):
                self._work.notify(number)
        waiting = self._arena.all_in(WAITING)
        return min((self._arena.account(each).due_at(now) for each in waiting), default=None)

    def _wake(self, now: int, *, early: bool = False) -> None:
        for number in self._arena.all_in(WAITING):
            if wake(self._arena, number, now, early=early):
                self._work.notify(number)

    def _settle(self, frame: Frame, parked: int, evicted: Evicted) -> None:
        arena, number = self._arena, frame.number
        joining.settle_followers(arena, number, frame.followers, frame)
        frame.account.close(parked, evicted)
        arena.set_state(number, SETTLED)
        make_free(arena, number)
        self.notify_of_room()
