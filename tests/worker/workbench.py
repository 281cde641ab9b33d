"""A worker's parts put together by hand, for tests that are the thread that sends."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dataart_mp import clock
from dataart_mp.delivery.backoff import Backoff
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.producer.encoder import encode_action, encode_identity
from dataart_mp.queue import Frame, RecordQueue
from dataart_mp.queue.arena import READY, WAITING
from dataart_mp.queue.release import wake
from dataart_mp.spool.parked_batch import ParkedBatch
from dataart_mp.spool.parking_lot import ParkingLot
from dataart_mp.stats import Stats
from dataart_mp.supervision.reports import Failed, Report, decode
from dataart_mp.transport.sender import Sender
from dataart_mp.worker.circuit import FAILURES_TO_OPEN
from dataart_mp.worker.failures import Failures, NoLetters
from dataart_mp.worker.gate import Gate
from dataart_mp.worker.helpers import Helpers
from dataart_mp.worker.loop import Loop
from dataart_mp.worker.parker import Parker
from dataart_mp.worker.parking import NoParking, Parking
from dataart_mp.worker.reporter import Reporter
from dataart_mp.worker.request import Moment
from dataart_mp.worker.shared_flow import FixedPace, Pace
from dataart_mp.worker.shipper import Shipper

RATIO = 5.0


class Workbench:
    """A queue and the parts of a worker; the test is the thread that sends."""

    def __init__(
        self,
        sender: Sender,
        *,
        frames: int = 2,
        retries: int = 3,
        deadline: float | None = None,
        join: int | None = None,
        driven: bool = False,
        pace: Pace | None = None,
        spool: Path | None = None,
        room: int = 1 << 30,
        rest: float = 0.0,
    ) -> None:
        self.queue = RecordQueue(frames, 64 * 1024, records=10_000)
        self._report_end, self._report = os.pipe()
        os.set_blocking(self._report_end, False)
        self.reporter = Reporter(self.queue.arena, self._report, with_records=True)
        self._sender = sender
        self._backoff = Backoff("linear", RATIO, retries, deadline=deadline)
        self._lot = None if spool is None else ParkingLot(spool, room)
        self.failing = Failures(NoLetters(), self.reporter)
        self.parking: Parking = NoParking(self.queue)
        if self._lot is not None:
            self.parking = Parker(self.queue, self._lot, self.reporter, ratio=rest)
        self._pace = pace or FixedPace()
        self._join = join
        self.shipper = self.make_shipper()
        self._released: list[float | None] = []
        self.loop = Loop(
            queue=self.queue,
            shipper=self.shipper,
            sender=sender,
            helpers=Helpers(2, contextlib.nullcontext, _too_few_threads),
            gate=Gate(self._pace, 0, lambda: False),  # only what the test begins is sent
            on_release=self._released.append,
        )
        self._driven = driven

    def make_shipper(self) -> Shipper:
        """Make a shipper, as each worker of the queue has one."""
        return Shipper(
            self.queue,
            self._sender,
            self._backoff,
            self.reporter,
            self.failing,
            self.parking,
            self._pace,
            self._join,
        )

    def put(self, *keys: str) -> None:
        """Put actions with these keys into one frame, and seal it."""
        for number, key in enumerate(keys):
            self.queue.producer.append(encode_action(key, "ann", False, None, {"_id": number}))
        self.queue.producer.seal()

    def put_identity(self) -> None:
        self.queue.producer.append_alone(encode_identity("ann", {"plan": "free"}))

    def claim(self) -> Frame:
        frame = Frame.claim(self.queue.arena, self.queue.arena.find(READY))
        assert frame is not None
        return frame

    def ship(self) -> float | None:
        return self._drive(self.claim()) if self._driven else self.shipper.ship(self.claim())

    def _drive(self, frame: Frame) -> float | None:
        """Ship a frame as the loop does."""
        self.loop.begin(frame, Moment.this())
        self.loop.turn(0.0)
        while self.loop.in_flight:
            self.loop.turn(1.0)
        (delay,) = self._released
        self._released.clear()
        return delay

    def ship_late(self) -> float:
        """Ship a frame that has to wait; the seconds that it waits."""
        delay = self.ship()
        assert delay is not None
        return delay

    def wake(self) -> None:
        """Let the delays of all waiting frames pass."""
        for frame in self.queue.arena.all_in(WAITING):
            now = clock.now()
            self.queue.arena.account(frame).due = now
            assert wake(self.queue.arena, frame, now)

    def reports(self) -> list[Report]:
        try:
            text = os.read(self._report_end, 1 << 20)
        except BlockingIOError:
            return []
        return [decode(line)[0] for line in text.split(b"\n") if line]

    def failures(self) -> list[Failed]:
        return [report for report in self.reports() if isinstance(report, Failed)]

    def parked(self) -> list[ParkedBatch]:
        """The parked batches, the oldest first."""
        assert self._lot is not None
        return self._lot.batches()

    def settled(self) -> Stats:
        """Return the stats, when nothing is pending and every frame is empty again."""
        arena, stats = self.queue.arena, self.queue.stats()
        assert stats.balanced
        assert stats.pending == 0
        assert arena.all_free()
        for frame in range(arena.frames):
            assert not arena.content(frame, 0, arena.capacity + 1).strip(b"\0")
            assert arena.locks.owner(frame) is None
        return stats

    def close(self) -> None:
        self.loop.close()
        self.parking.close()
        self.queue.close()
        os.close(self._report_end)
        os.close(self._report)


def _too_few_threads(threads: int, error: RuntimeError) -> None:
    raise error


def accounts(stats: Stats) -> tuple[int, int, int, int]:
    return stats.accepted, stats.delivered, stats.rejected, stats.failed


def numbers(sink: SinkProcess) -> list[int]:
    return [event["metadata"]["_id"] for event in sink.events()]


def keys_sent(sink: SinkProcess) -> list[str]:
    return [request["idempotency_key"] for request in sink.requests()]


def open_circuit(work: Workbench, platform: SinkProcess) -> None:
    """Make the platform fail until this worker has opened its circuit."""
    platform.set_faults({"kind": "status", "status": 503})
    for _ in range(FAILURES_TO_OPEN):
        work.put("tick")
        assert work.ship() == RATIO
    assert not work.shipper.all_circuits_closed


def pass_pause(work: Workbench) -> None:
    """Let the pause pass: the next request is a probe."""
    for circuit in work.shipper._circuits.values():
        if not circuit.is_closed:
            circuit._probe_at = time.monotonic()


MakeWorkbench = Callable[..., Workbench]
"""The fixture `workbench`."""


class InterruptedSender:
    """A sender that calls a function during its first request."""

    def __init__(self, sender: Sender, meanwhile: Callable[[], list[float | None]]) -> None:
        self._sender = sender
        self._meanwhile = meanwhile
        self.results: list[float | None] | None = None

    def post(self, path: str, body: bytes, key: str) -> Any:
        if self.results is None:
            self.results = []
            self.results = self._meanwhile()
        return self._sender.post(path, body, key)


class DyingSender:
    """A sender whose process dies when a certain response has arrived."""

    def __init__(self, sender: Sender, life: int) -> None:
        self._sender = sender
        self._life = life

    def post(self, path: str, body: bytes, key: str) -> Any:
        response = self._sender.post(path, body, key)
        self._life -= 1
        if not self._life:
            raise SystemExit
        return response
