"""C changes frames as the Python code does."""

import gc
import itertools
import os
import signal
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dataart_mp import Client, ClientConfig, clock
from dataart_mp.errors import ClosedError, DescriptorsClosedError
from dataart_mp.queue import RecordQueue
from dataart_mp.queue.account import WORDS, Account
from tests.native.emitting import Emitter, needs_c, numbered
from tests.queue.interleavings import InALivingProcess
from tests.queue.internals import FREE, READY, idle_writers
from tests.queue.tools import audit, claim_all, in_a_child, queue_of, run_threads

pytestmark = needs_c


def settle_all(queue: RecordQueue) -> None:
    for frame in claim_all(queue):
        queue.worker.settle(frame)


def state_of(queue: RecordQueue) -> dict[str, Any]:
    """Return all that an emission may have changed."""
    arena, pool = queue.arena, queue.producer._pool
    firsts = [arena.account(frame).first for frame in range(arena.frames)]
    notified = []
    while queue.work.has_notifications():
        notified.append(queue.work.wait())
    return {
        "states": [arena.state(frame) for frame in range(arena.frames)],
        "accounts": [
            _without_times(arena.words[first : first + WORDS].tolist()) for first in firsts
        ],
        "contents": [arena.content(frame, 0, arena.stride) for frame in range(arena.frames)],
        "held": sorted(arena.locks.held()),
        "open": sorted(pool._open),
        "sealed": sorted(pool._sealed.items()),
        "notified": notified,
        "writers": [
            (writer.claim, writer.position, writer.limit, writer.room, writer._start)
            for writer in idle_writers(queue)
        ],
    }


def _without_times(account: list[int]) -> list[int]:
    """Replace the time when a frame was opened by whether it is one of the last minute."""
    opened = Account.opened.offset
    is_recent = 0 <= clock.now() - account[opened] < 60 * 10**9
    return [*account[:opened], is_recent, *account[opened + 1 :]]


def owned_frames(queue: RecordQueue) -> set[int]:
    """Return the frames whose lock this process has, as another process sees it."""
    owned: set[int] = set()
    pid = os.getpid()
    for frame in range(queue.arena.frames):

        def child(frame: int = frame) -> None:
            assert queue.arena.locks.owner(frame) == pid

        if in_a_child(child) == os.EX_OK:
            owned.add(frame)
    return owned


def test_frames_that_c_has_filled_are_those_that_python_would_have_filled(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Byte by byte and word by word, with all locks, claims and notifications."""
    with queue_of(8, 512, records=3) as of_c, queue_of(8, 512, records=3) as of_python:
        in_c, in_python = Emitter(of_c), Emitter(of_python)
        for number in range(100):
            width = 300 if number % 7 == 0 else 0
            in_c.emit_numbered(number, width)
            in_python.emit_in_python(**numbered(number, width))
            assert state_of(of_c) == state_of(of_python), f"after {number}"
            if number % 10 == 9:
                for queue in (of_c, of_python):
                    settle_all(queue)
            if number % 30 == 29:
                for queue in (of_c, of_python):
                    queue.producer.seal()
        assert owned_frames(of_c) == owned_frames(of_python) == {*of_c.arena.locks.held()} != set()
        assert in_c.in_python == 1
        assert audit(of_c) == audit(of_python) != []
    capfd.readouterr()  # what the children have to say


def test_actions_in_bulk_fill_frames_as_single_ones_do() -> None:
    with queue_of(8, 512, records=3) as of_c, queue_of(8, 512, records=3) as of_python:
        in_c, in_python = Emitter(of_c), Emitter(of_python)
        for first in range(0, 70, 7):
            actions = [numbered(number) for number in range(first, first + 7)]
            emitted = int(first == 0 and in_c.emit(**actions[0]))
            assert in_c.emit_bulk(actions, emitted) == 7 - emitted
            for action in actions:
                in_python.emit_in_python(**action)
            assert state_of(of_c) == state_of(of_python)
            settle_all(of_c)
            settle_all(of_python)
        assert in_c.in_python == 1


def test_a_full_buffer_is_left_to_python_and_used_in_c_when_a_frame_is_free() -> None:
    with queue_of(2, 512, records=2) as queue:
        emitter = Emitter(queue)
        for number in range(4):
            emitter.emit_numbered(number)
        assert emitter.in_python == 1
        assert emitter.emit_bulk([numbered(4)]) == 0
        assert idle_writers(queue) == []
        settle_all(queue)
        assert emitter.emit_bulk([numbered(4)]) == 1
        assert audit(queue) == [4]


def test_a_record_that_fits_no_frame_is_left_to_python() -> None:
    with queue_of(2, 256, records=9) as queue:
        emitter = Emitter(queue)
        emitter.emit_numbered(0)
        assert emitter.emit_bulk([numbered(1) | {"key": "k" * 200}]) == 0
        assert emitter.emit_bulk([numbered(1)]) == 1
        assert audit(queue) == [0, 1]


def test_a_closed_arena_and_a_closed_queue_take_no_action() -> None:
    with queue_of(4, 512, records=2) as queue:
        emitter = Emitter(queue)
        emitter.emit_numbered(0)
        queue.arena.close_permanently()
        assert emitter.emit_bulk([numbered(1), numbered(2), numbered(3)]) == 1, "its frame was open"
        assert queue.arena.locks.held() == []
        with pytest.raises(ClosedError):
            emitter.emit_numbered(4)
    with pytest.raises(ClosedError):
        emitter.emit_numbered(5)
    assert emitter.emit_bulk([numbered(6)]) == 0


def test_a_forked_child_does_not_fill_the_frame_of_its_parent() -> None:
    with queue_of(4, 512, records=2) as queue:
        emitter = Emitter(queue)
        emitter.emit_numbered(0)

        def child() -> None:
            assert emitter.emit_bulk([numbered(9)]) == 0, "the open frame is the parent's"
            for number in range(1, 6):
                emitter.emit_numbered(number)
            assert emitter.in_python == 2

        assert in_a_child(child) == os.EX_OK
        emitter.emit_numbered(6)
        assert emitter.in_python == 1
        assert sorted(audit(queue)) == list(range(7))


def test_a_frame_whose_lock_another_process_has_is_passed_over() -> None:
    """The process is about to store that it fills the frame."""
    rival = InALivingProcess(lambda queue: queue.arena.locks.acquire(1))
    with queue_of(3, 512, records=1) as queue:
        emitter = Emitter(queue)
        emitter.emit_numbered(0)
        rival(queue)
        emitter.emit_numbered(1)
        assert [queue.arena.state(frame) for frame in range(3)] == [READY, FREE, READY]
        rival.end()
        emitter.emit_numbered(2)
        assert emitter.in_python == 1
        assert audit(queue) == [0, 2, 1]


def test_a_descriptor_that_leads_to_another_file_is_not_touched() -> None:
    with queue_of(4, 512, records=2) as queue:
        emitter = Emitter(queue)
        emitter.emit_numbered(0)
        descriptors = queue.arena.lock_fd, queue.work.write_fd
        with tempfile.TemporaryFile() as file:
            for descriptor in descriptors:
                os.dup2(file.fileno(), descriptor)
            assert emitter.emit_bulk([numbered(1), numbered(2)]) == 1
            assert queue.arena.state(0) == READY, "workers look for what was accepted"
            assert os.fstat(file.fileno()).st_size == 0
            with pytest.raises(DescriptorsClosedError):
                emitter.emit_numbered(2)
        queue.close()
        for descriptor in descriptors:
            os.close(descriptor)


def test_a_finalizer_that_emits_while_frames_change_loses_nothing() -> None:
    """Python 3.11 may collect garbage at any allocation, also while frames change."""
    with queue_of(64, 512, records=3) as queue:
        emitter = Emitter(queue)
        numbers = itertools.count()

        class Garbage:
            def __init__(self) -> None:
                self.myself = self

            def __del__(self) -> None:
                emitter.emit_numbered(next(numbers))

        thresholds = gc.get_threshold()
        gc.set_threshold(1)
        try:
            for _ in range(60):
                Garbage()
                emitter.emit_numbered(next(numbers))
            gc.collect()
        finally:
            gc.set_threshold(*thresholds)
        assert sorted(audit(queue)) == list(range(next(numbers)))


def test_threads_and_a_signal_handler_that_emit_lose_nothing(frequent_switches: None) -> None:
    count = 300
    with queue_of(1000, 512, records=3) as queue:
        emitter = Emitter(queue)
        handled = itertools.count(4 * count)

        def emit(first: int) -> None:
            for number in range(first, first + count, 2):
                emitter.emit_numbered(number)
                if not emitter.emit_bulk([numbered(number + 1)]):
                    emitter.emit(**numbered(number + 1))

        before = signal.signal(signal.SIGALRM, lambda *_: emitter.emit_numbered(next(handled)))
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        try:
            run_threads(partial(emit, first) for first in range(0, 4 * count, count))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert sorted(audit(queue)) == list(range(next(handled)))


def test_an_arena_that_survives_a_power_failure_is_filled_by_python(tmp_path: Path) -> None:
    """Python keeps the checksum of what it appends."""
    config = ClientConfig(
        "k", base_url="http://localhost:9", spool_dir=tmp_path, spool_sync="batch"
    )
    client = Client(config)
    try:
        assert client._appender is None
        assert client.emit_action("k", "u")
        assert client.emit_actions([numbered(number) for number in range(50)]).accepted == 50
        assert client.stats().accepted == 51
    finally:
        client.close(0)
