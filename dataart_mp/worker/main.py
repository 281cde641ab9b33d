"""The main function of a worker process."""

import contextlib
import os
import select
import signal
from collections.abc import Collection, Iterable
from dataclasses import asdict
from pathlib import Path

from dataart_mp.config import ClientConfig
from dataart_mp.delivery.backoff import Backoff
from dataart_mp.queue import RecordQueue, process
from dataart_mp.queue.locks import PLACES
from dataart_mp.queue.status import Status
from dataart_mp.spool.dead_letters import DeadLetters
from dataart_mp.supervision.brief import Brief
from dataart_mp.supervision.interpreter import GUARD
from dataart_mp.supervision.supervisor import Supervisor
from dataart_mp.transport.sender import Sender
from dataart_mp.version import __version__
from dataart_mp.worker.failures import Failures, LetterStore, NoLetters
from dataart_mp.worker.gate import Gate
from dataart_mp.worker.parking import NoParking, Parking
from dataart_mp.worker.reporter import Reporter
from dataart_mp.worker.shared_flow import FixedPace, Pace, SharedFlow
from dataart_mp.worker.shipper import Shipper
from dataart_mp.worker.syncing import start_syncing
from dataart_mp.worker.worker import Worker

_STDIN, _STDOUT, _STDERR = range(3)
_MOST_DESCRIPTORS = 65536
# The room on disk that is reserved to take parked batches when the disk is full.
_SPARE_BYTES = 1 << 20
_SPARE_BATCHES = 4


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
    Status(queue.arena).register(brief.place, process.current()._replace(pid=os.getpid()))
    worker = _make_worker(brief, queue)
    os.chdir("/")  # keep no directory of the application busy
    _say_ready()
    worker.run()


def _make_worker(brief: Brief, queue: RecordQueue) -> Worker:
    config, inheritance = brief.config, brief.inheritance
    senders = _share(config.flush_num_workers, config.num_processes, brief.place)
    reporter = Reporter(
        queue.arena, inheritance.report_write_fd, with_records=queue.arena.reports_records
    )
    start_syncing(queue.arena, reporter)
    parking = _parking(config, queue, reporter, inheritance.life_read_fd)
    pace = _pace(config, queue)
    sender = Sender(config, senders, f"dataart_mp/{__version__}")
    shipper = Shipper(
        queue=queue,
        sender=sender,
        backoff=Backoff.of(config),
        reporter=reporter,
        failures=Failures(_letters(config), reporter),
        parking=parking,
        pace=pace,
        join=config.flush_max_batch_size,
    )
    return Worker(
        queue=queue,
        life_end=inheritance.life_read_fd,
        shipper=shipper,
        sender=sender,
        gate=Gate(pace, senders, lambda: not shipper.all_circuits_closed),
        reporter=reporter,
        supervisor=Supervisor(queue, inheritance.wiring(), config),
        parking=parking,
        place=brief.place,
        has_key_file=config.api_key_file is not None,
    )


def _share(workers: int, processes: int, place: int) -> int:
    """Return how many of all senders run in the process at a place: shares differ by at most 1."""
    return workers // processes + (place < workers % processes)


def _pace(config: ClientConfig, queue: RecordQueue) -> Pace:
    if not config.adaptive:
        return FixedPace()
    return SharedFlow(queue.arena, config.flush_num_workers, config.num_processes)


def _letters(config: ClientConfig) -> LetterStore:
    if config.spool_dir is None:
        return NoLetters()
    sync = config.spool_sync != "none"
    return DeadLetters(Path(config.spool_dir), config.spool_max_bytes, sync=sync)


def _parking(
    config: ClientConfig, queue: RecordQueue, reporter: Reporter, life_end: int
) -> Parking:
    if config.spool_dir is None:
        return NoParking(queue)
    # Imported here because SQLite takes a megabyte of memory, and only a spool needs it.
    from dataart_mp.spool.parking_lot import ParkingLot
    from dataart_mp.worker.parker import Parker

    arena = queue.arena
    lot = ParkingLot(
        Path(config.spool_dir),
        config.spool_max_bytes,
        evicts=config.spool_overflow == "drop_oldest",
        spare=_SPARE_BYTES + _SPARE_BATCHES * arena.capacity,
        sync=config.spool_sync != "none",
    )

    def has_producers() -> bool:
        return not arena.closed and not _is_at_end(life_end)

    return Parker(queue, lot, reporter, config.flush_backoff_ratio, has_producers)


def _is_at_end(fd: int) -> bool:
    """Return whether no process is left that could write to a pipe."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def _close_all_but(kept: Collection[int]) -> None:
    """Close descriptors that the application leaves open to its children, a socket for example."""
    try:
        open_ones = [int(entry.name) for entry in Path("/dev/fd").iterdir()]
    except OSError:  # no /proc
        open_ones = list(range(_MOST_DESCRIPTORS))
    for fd in open_ones:
        if fd > _STDERR and fd not in kept:
            with contextlib.suppress(OSError):  # the descriptor of the listing itself
                os.close(fd)


def _ignore(signals: Iterable[int]) -> None:
    """Ignore signals, and unblock them: the supervisor has blocked them until now."""
    for number in signals:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)


def _say_ready() -> None:
    """Report readiness on the status pipe, and detach from the application's standard streams.

    They may be a pipe (`app | tee log`) whose reader would wait for this process to close it.
    """
    status = os.dup(_STDOUT)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (_STDIN, _STDOUT, _STDERR):
        os.dup2(nowhere, stream)
    os.close(nowhere)
    with contextlib.suppress(BrokenPipeError):  # the supervisor has died and left its records to us
        os.write(status, b"ready\n")  # never closed: its end of file shows that this process ended
