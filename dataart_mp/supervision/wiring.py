"""The wiring: the pipes between producers and workers."""

import os
import select
from dataclasses import dataclass, field
from typing import Final

from dataart_mp.queue.arena import Arena
from dataart_mp.queue.descriptor import Descriptor
from dataart_mp.queue.polling import make_poll
from dataart_mp.queue.record_queue import RecordQueue
from dataart_mp.queue.wakeup import WakeupPipe

_ENDS: Final = ("life_read_fd", "life_write_fd", "report_read_fd", "report_write_fd")


@dataclass(slots=True)
class Wiring:
    """The descriptors of two pipes, as far as this process holds them.

                                producers                  workers
        arena                   map it                     map it
        work   (wakeup pipe)    notify: a frame is READY   wait; notify: it is READY again
        room   (wakeup pipe)    wait for a settlement      notify
        life   (pipe)           hold the writing end       end of file: no producer is left
        report (pipe)           one of them reads          write

    Arena, work and room belong to the queue; life and report are here.

    Attributes:
        life_read_fd: The end that workers hold.
        life_write_fd: The end that producers hold; -1 in a worker.
        report_read_fd: The end that the creator of the client holds, and its forked children; -1 in
            other processes.
        report_write_fd: The end that workers hold, and producers, to pass it to new workers.
    """

    life_read_fd: int
    life_write_fd: int
    report_read_fd: int
    report_write_fd: int
    _descriptors: dict[str, Descriptor] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        numbers = {name: getattr(self, name) for name in _ENDS}
        self._descriptors = {name: Descriptor(fd) for name, fd in numbers.items() if fd >= 0}

    @classmethod
    def make(cls) -> "Wiring":
        """Make new pipes. Neither end of the report pipe blocks."""
        life = os.pipe()
        try:
            report = os.pipe()
        except OSError:
            for fd in life:
                os.close(fd)
            raise
        for fd in report:
            os.set_blocking(fd, False)
        return cls(*life, *report)

    def close_life(self) -> None:
        """Close this process's writing end: it emits no more.

        The workers see the end of file when the last producer has done so, or has died.
        """
        self._close("life_write_fd")

    def has_unread_reports(self) -> bool:
        """Return whether a worker has written reports that nobody has read yet."""
        descriptor = self._descriptors.get("report_read_fd")
        if descriptor is None or not descriptor.is_intact():
            return False
        poll = make_poll()
        poll.register(descriptor.number, select.POLLIN)
        return any(event & select.POLLIN for _, event in poll.poll(0))

    def close(self) -> None:
        """Close all descriptors that this process holds, unless the application has closed them."""
        for end in _ENDS:
            self._close(end)

    def _close(self, end: str) -> None:
        descriptor = self._descriptors.pop(end, None)
        if descriptor is not None:
            setattr(self, end, -1)
            descriptor.close()


@dataclass(frozen=True, slots=True)
class Inheritance:
    """The descriptors that a worker inherits from its starter."""

    arena: int
    locks: int
    work_read_fd: int
    work_write_fd: int
    room_read_fd: int
    room_write_fd: int
    life_read_fd: int
    report_write_fd: int

    @classmethod
    def of(cls, queue: RecordQueue, wiring: Wiring) -> "Inheritance":
        """Return what a worker of this queue inherits."""
        return cls(
            arena=queue.arena.fd,
            locks=queue.arena.lock_fd,
            work_read_fd=queue.work.read_fd,
            work_write_fd=queue.work.write_fd,
            room_read_fd=queue.room.read_fd,
            room_write_fd=queue.room.write_fd,
            life_read_fd=wiring.life_read_fd,
            report_write_fd=wiring.report_write_fd,
        )

    def wiring(self) -> Wiring:
        """Return the wiring of a worker, which it needs to start other workers."""
        return Wiring(self.life_read_fd, -1, -1, self.report_write_fd)

    def queue(self, records: int, interval: float) -> RecordQueue:
        """Return the queue, in the process that has inherited these descriptors.

        Args:
            records: Number of actions in a full frame.
            interval: Seconds after which a frame is sealed even if it is not full.
        """
        return RecordQueue.attach(
            Arena(self.arena, self.locks),
            WakeupPipe(self.work_read_fd, self.work_write_fd),
            WakeupPipe(self.room_read_fd, self.room_write_fd),
            records,
            interval,
        )
