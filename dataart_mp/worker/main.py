"""The main function of a worker process."""

import contextlib
import os
import signal
from collections.abc import Collection, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from dataart_mp.config import ClientConfig
from dataart_mp.queue import RecordQueue
from dataart_mp.queue.locks import PLACES
from dataart_mp.spool.dead_letters import DeadLetters
from dataart_mp.supervision.brief import Brief
from dataart_mp.supervision.interpreter import GUARD
from dataart_mp.supervision.supervisor import Supervisor
from dataart_mp.transport.sender import Sender
from dataart_mp.version import __version__
from dataart_mp.worker.backoff import Backoff
from dataart_mp.worker.reporter import Reporter
from dataart_mp.worker.worker import Worker

if TYPE_CHECKING:
    from dataart_mp.worker.parker import Parker

_STDIN, _STDOUT, _STDERR = range(3)
_MOST_DESCRIPTORS = 65536


def main(text: bytes) -> None:
    """Run a worker until everything is delivered.

    Args:
        text: The brief, as the starter has written it to this process's standard input.
    """
    brief = Brief.from_wire(text)
    _ignore(brief.ignored_signals)
    descriptors = asdict(brief.inheritance).values()
    _close_all_but(descriptors)
    os.environ.pop(GUARD, None)  # a pool_factory may start an application that uses a client
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)  # a pool_factory may start processes
    config = brief.config
    queue = brief.inheritance.queue(config.flush_actions_batch_size, config.flush_interval)
    queue.arena.path = brief.arena_path
    if not queue.arena.locks.acquire(PLACES + brief.place):
        os.write(_STDOUT, b"taken\n")
        return
    worker = _make_worker(brief, queue)
    os.chdir("/")  # keep no directory of the application busy
    _say_ready()
    worker.run()


def _make_worker(brief: Brief, queue: RecordQueue) -> Worker:
    config = brief.config
    senders = _share(config.flush_num_workers, config.num_processes, brief.place)
    report_fd = brief.inheritance.report_write_fd
    reporter = Reporter(queue.arena, report_fd, with_records=queue.arena.reports_records)
    return Worker(
        queue=queue,
        life_end=brief.inheritance.life_read_fd,
        sender=Sender(config, senders, f"dataart_mp/{__version__}"),
        senders=senders,
        backoff=Backoff(
            config.backoff,
            config.flush_backoff_ratio,
            config.flush_num_retries,
            jitter=config.backoff_jitter,
            deadline=config.delivery_timeout,
        ),
        reporter=reporter,
        supervisor=Supervisor(queue, brief.inheritance.wiring(), config),
        letters=_letters(config),
        parker=_parker(config, queue, reporter),
        join=config.flush_max_batch_size,
    )


def _letters(config: ClientConfig) -> DeadLetters | None:
    if config.spool_dir is None:
        return None
    return DeadLetters(Path(config.spool_dir), config.spool_max_bytes)


def _parker(config: ClientConfig, queue: RecordQueue, reporter: Reporter) -> "Parker | None":
    if config.spool_dir is None:
        return None
    # Without a spool there is no need of SQLite, a megabyte of memory.
    from dataart_mp.spool.parking_lot import ParkingLot
    from dataart_mp.worker.parker import Parker

    evicts = config.spool_overflow == "drop_oldest"
    lot = ParkingLot(Path(config.spool_dir), config.spool_max_bytes, evicts=evicts)
    return Parker(queue, lot, reporter, config.flush_backoff_ratio)


def _close_all_but(kept: Collection[int]) -> None:
    """Keep nothing open that the application passes on to any child: a listening socket, say."""
    try:
        open_ones = [int(entry.name) for entry in Path("/dev/fd").iterdir()]
    except OSError:  # no /proc
        open_ones = list(range(_MOST_DESCRIPTORS))
    for fd in open_ones:
        if fd > _STDERR and fd not in kept:
            with contextlib.suppress(OSError):  # that of this very listing
                os.close(fd)


def _ignore(signals: Iterable[int]) -> None:
    """Never hear signals that the starter has kept from this process up to here."""
    for number in signals:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)


def _share(workers: int, processes: int, place: int) -> int:
    """How many of all senders are this process's: as many as another's, or one more."""
    return workers // processes + (place < workers % processes)


def _say_ready() -> None:
    """Tell the starter, and from here on keep but one thing of it: the end of the status pipe.

    An application's standard streams may be somebody's pipe (`app | tee log`), who would wait for
    the worker to close it.
    """
    status = os.dup(_STDOUT)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (_STDIN, _STDOUT, _STDERR):
        os.dup2(nowhere, stream)
    os.close(nowhere)
    with contextlib.suppress(BrokenPipeError):  # the starter is dead, and has left us its records
        os.write(status, b"ready\n")  # never closed: its end of file tells that we are gone
