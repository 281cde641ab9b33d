"""The wiring: the descriptors that tie producers and workers together."""

import os
from dataclasses import asdict, dataclass

from dataart_mp.queue.arena import Arena
from dataart_mp.queue.record_queue import RecordQueue
from dataart_mp.queue.wakeup import WakeupPipe


@dataclass(slots=True)
class Wiring:
    """Who holds which end of what.

                          producers                workers
        arena             maps it                  maps it
        work   (a bell)   ring: a frame is READY   listen; ring: it is READY again
        room   (a bell)   wait for a settlement    ring
        life   (a pipe)   hold the writing end     end of file: no producer is left
        report (a pipe)   the client's maker reads write

    Attributes:
        life_end: what workers hold of `life`.
        life: what producers hold of it; -1 in a worker.
        report_end: what the maker of the client holds of `report`; -1 elsewhere.
        report: what workers hold of it, and producers, to start them with.
    """

    life_end: int
    life: int
    report_end: int
    report: int

    @classmethod
    def lay(cls) -> "Wiring":
        """New pipes. Writing a report never blocks."""
        life_end, life = os.pipe()
        report_end, report = os.pipe()
        os.set_blocking(report, False)
        os.set_blocking(report_end, False)
        return cls(life_end, life, report_end, report)

    def hang_up(self) -> None:
        """This process emits no more; the workers notice when the last one says so, or dies."""
        os.close(self.life)
        self.life = -1

    def cut(self) -> None:
        """Close all that this process holds."""
        for fd in asdict(self).values():
            if fd >= 0:
                os.close(fd)
        self.life_end = self.life = self.report_end = self.report = -1

    def stop_reading(self) -> None:
        """In a forked child: reports are the parent's to read."""
        if self.report_end >= 0:
            os.close(self.report_end)
            self.report_end = -1


@dataclass(frozen=True, slots=True)
class Inheritance:
    """The descriptors that a worker is born with, under the numbers they have in its starter."""

    arena: int
    work_read_fd: int
    work_write_fd: int
    room_read_fd: int
    room_write_fd: int
    life_end: int
    report: int

    @classmethod
    def of(cls, queue: RecordQueue, wiring: Wiring) -> "Inheritance":
        """What a process that has these passes on."""
        return cls(
            arena=queue.arena.fd,
            work_read_fd=queue.work.read_fd,
            work_write_fd=queue.work.write_fd,
            room_read_fd=queue.room.read_fd,
            room_write_fd=queue.room.write_fd,
            life_end=wiring.life_end,
            report=wiring.report,
        )

    def wiring(self) -> Wiring:
        """What a worker needs of the wiring to start another one."""
        return Wiring(self.life_end, -1, -1, self.report)

    def queue(self, records: int, interval: float) -> RecordQueue:
        """The queue, in the process that was born with these."""
        return RecordQueue.attach(
            Arena(self.arena),
            WakeupPipe(self.work_read_fd, self.work_write_fd),
            WakeupPipe(self.room_read_fd, self.room_write_fd),
            records,
            interval,
        )
