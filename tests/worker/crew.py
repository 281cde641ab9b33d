"""A crew: a queue with workers, whose test does the work of the housekeeping thread."""

import contextlib
import logging
import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from dataart_mp import ClientConfig
from dataart_mp.producer.encoder import encode_action
from dataart_mp.queue import RecordQueue
from dataart_mp.queue.locks import PLACES
from dataart_mp.supervision.launch import Launch
from dataart_mp.supervision.supervisor import Supervisor
from dataart_mp.supervision.wiring import Inheritance, Wiring

SECONDS = 30.0
log = logging.getLogger("dataart_mp")


class Crew:
    """A queue, its wiring, and a supervisor that uses the test's clock."""

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self.queue = RecordQueue(
            config.flush_buffer_size, 64 * 1024, records=config.flush_actions_batch_size
        )
        self.wiring = Wiring.make()
        self.supervisor = Supervisor(self.queue, self.wiring, config)

    # What an application does

    def emit(self, *keys: str) -> None:
        for number, key in enumerate(keys):
            self.queue.producer.append(encode_action(key, "ann", False, None, {"_id": number}), 0)
        self.queue.producer.seal()

    def check_until(self, reached: Callable[[], object], seconds: float = SECONDS) -> None:
        """Do the work of the housekeeping thread until a condition holds."""
        deadline = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < deadline, f"not within {seconds} s"
            self.supervisor.check(time.monotonic())
            self.read_statuses(time.monotonic(), 0.01)

    def read_statuses(self, now: float, wait: float = 0.0) -> None:
        """Read the statuses that workers have written by now."""
        poll = select.poll()
        for fd in self.supervisor.sentinels:
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(wait * 1000):
            self.supervisor.read_status(fd, now)

    def read_until(self, reached: Callable[[], object], now: float) -> None:
        """Only read statuses, at one moment of the test's clock, until a condition holds."""
        deadline = time.monotonic() + SECONDS
        while not reached():
            assert time.monotonic() < deadline, f"not within {SECONDS} s"
            self.read_statuses(now, 0.01)

    # What a test wants to know

    @property
    def places(self) -> list[int | None]:
        """The process id of the worker at each place."""
        count = self.config.num_processes
        return [self.queue.arena.locks.owner(PLACES + place) for place in range(count)]

    @property
    def launches(self) -> list[Launch]:
        return [launch for launch, _ in self.supervisor._launches.all()]

    def all_ready(self) -> bool:
        return None not in self.places and all(launch.ready for launch in self.launches)

    def inheritance(self) -> Inheritance:
        return Inheritance.of(self.queue, self.wiring)

    def delivered(self) -> int:
        return self.queue.stats().delivered

    # The end

    def close(self) -> None:
        """Close everything as an application does, and kill the workers that are left."""
        workers = [pid for pid in self.places if pid is not None]
        self.queue.arena.close_permanently()
        if self.wiring.life_write_fd >= 0:
            self.wiring.close_life()
        for launch in self.launches:
            launch.kill()
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):  # it has ended
                os.kill(pid, signal.SIGKILL)
        self.supervisor.wait(SECONDS)
        self.supervisor.close()
        self.queue.close()
        self.wiring.close()


MakeCrew = Callable[..., Crew]


def proc(pid: int, name: str) -> str:
    """Return a file of /proc, with NULs replaced by spaces."""
    return Path(f"/proc/{pid}/{name}").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def descriptors(pid: int) -> dict[int, str]:
    """Return what each descriptor of a process refers to."""
    held: dict[int, str] = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the descriptor of the listing itself
            held[int(entry.name)] = str(entry.readlink())
    return held


def gone(pid: int) -> bool:
    """Whether a process has ended. A zombie counts unless it is our child: init may be slow."""
    try:
        process = psutil.Process(pid)
        return process.status() == psutil.STATUS_ZOMBIE and process.ppid() != os.getpid()
    except psutil.NoSuchProcess:
        return True
