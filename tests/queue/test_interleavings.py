"""Another process acts between any two steps of this one, and every record is sent exactly once."""

import contextlib
from collections.abc import Callable
from queue import Full

import pytest

from dataart_mp.queue import Frame, RecordQueue
from tests.queue.interleavings import (
    InALivingProcess,
    Observer,
    Rival,
    in_another_process,
    with_a_rival_at_every_step,
)
from tests.queue.internals import (
    FILLING,
    FREE,
    READY,
    REQUESTS,
    SENDING,
    WAITING,
    janitor,
    wake,
)
from tests.queue.steps import intercept
from tests.queue.tools import (
    FAR_FUTURE,
    NOW,
    SharedCounts,
    assert_clean,
    audit,
    claim,
    claim_all,
    drain,
    numbers_of,
    put_eight,
    queue_of,
    record,
)


@pytest.fixture
def sent() -> SharedCounts:
    """How often each record was sent, in whatever process."""
    return SharedCounts()


def send(frame: Frame, sent: SharedCounts) -> None:
    for number in numbers_of(frame):
        sent.add(number)
    frame.aim(frame.length, NOW)
    frame.mark_sent()


def send_all(queue: RecordQueue, sent: SharedCounts) -> None:
    """Send and settle what is READY."""
    for frame in claim_all(queue):
        send(frame, sent)
        frame.advance(frame.length)
        queue.worker.settle(frame)


def owners(queue: RecordQueue) -> list[int | None]:
    return [queue.arena.locks.owner(frame) for frame in range(queue.arena.frames)]


# Rivals: what another worker or producer may do meanwhile


def settle(queue: RecordQueue, sent: SharedCounts) -> None:
    send_all(queue, sent)


def settle_and_fill_again(queue: RecordQueue, sent: SharedCounts) -> None:
    send_all(queue, sent)
    with contextlib.suppress(Full):  # this process owns the frame
        queue.producer.append(record(10), 0)


def settle_and_fill_with_an_identity(queue: RecordQueue, sent: SharedCounts) -> None:
    send_all(queue, sent)
    with contextlib.suppress(Full):
        queue.producer.append_alone(record(10), 0)


def postpone(queue: RecordQueue, sent: SharedCounts) -> None:
    for frame in claim_all(queue):
        frame.aim(frame.length, NOW)
        frame.postpone(0, FAR_FUTURE)


def claim_and_keep(queue: RecordQueue, sent: SharedCounts) -> None:
    kept[:] = claim_all(queue)


kept: list[Frame] = []

rivals = pytest.mark.parametrize(
    "rival",
    [settle, settle_and_fill_again, settle_and_fill_with_an_identity, postpone, claim_and_keep],
    ids=lambda rival: rival.__name__,
)


# The state of a frame is read, its lock is acquired, and its state is read again


@rivals
def test_a_frame_is_claimed_by_one_of_two_workers(
    sent: SharedCounts, rival: Callable[[RecordQueue, SharedCounts], None]
) -> None:
    def put(queue: RecordQueue) -> None:
        queue.producer.append(record(0))

    other = in_another_process(lambda queue: rival(queue, sent))
    for queue, frame in with_a_rival_at_every_step(
        lambda queue: Frame.claim(queue.arena, 0), other, put, frames=1
    ):
        if frame is None:
            assert owners(queue) == [None], "the frame stays free"
        else:
            assert queue.arena.state(0) == SENDING
            assert numbers_of(frame), "it was settled before"
            assert not sent.numbers() & set(numbers_of(frame)), "it was sent before"
            queue.worker.hand_back(frame)
        for number in drain(queue):
            sent.add(number)
        assert sent.numbers() - {10} == {0}
        assert max(sent[number] for number in sent.numbers()) == 1, "each is sent once"
        assert queue.stats().balanced
        assert_clean(queue)
        sent.clear()


@rivals
def test_a_waiting_frame_is_woken_by_one_of_two_workers(
    sent: SharedCounts, rival: Callable[[RecordQueue, SharedCounts], None]
) -> None:
    def put_and_wait(queue: RecordQueue) -> None:
        queue.producer.append(record(0))
        postpone(queue, sent)

    def wake_and_act(queue: RecordQueue) -> None:
        if wake(queue.arena, 0, FAR_FUTURE):
            rival(queue, sent)

    other = in_another_process(wake_and_act)
    for queue, woken in with_a_rival_at_every_step(
        lambda queue: wake(queue.arena, 0, FAR_FUTURE), other, put_and_wait, frames=1
    ):
        assert owners(queue) == [None]
        if woken:
            assert queue.arena.state(0) == READY
        for number in drain(queue):
            sent.add(number)
        assert sent.numbers() - {10} == {0}
        assert max(sent[number] for number in sent.numbers()) == 1, "each is sent once"
        assert queue.stats().balanced
        assert_clean(queue)
        sent.clear()


def append_and_seal(queue: RecordQueue) -> None:
    queue.producer.append(record(1))
    queue.producer.seal()


def append_and_keep_open(queue: RecordQueue) -> None:
    queue.producer.append(record(1))


def append_send_and_settle(queue: RecordQueue) -> None:
    append_and_seal(queue)
    (frame,) = [each for each in claim_all(queue) if numbers_of(each) == [1]]
    frame.advance(frame.length)
    queue.worker.settle(frame)


@pytest.mark.parametrize(
    "rival",
    [append_and_seal, append_and_keep_open, append_send_and_settle],
    ids=lambda rival: rival.__name__,
)
def test_a_free_frame_is_filled_by_one_of_two_producers(rival: Rival) -> None:
    other = InALivingProcess(rival)
    for queue, _ in with_a_rival_at_every_step(
        lambda queue: queue.producer.append(record(0)), other, frames=3, records=2
    ):
        owned = [owner for owner in owners(queue) if owner is not None]
        assert len(owned) == len(queue.arena.all_in(FILLING)), "each owns the frame that it fills"
        other.end()
        before = queue.stats()
        assert (before.accepted, before.delivered + before.pending) == (2, 2)
        assert sorted(audit(queue)) == ([0, 1] if before.pending == 2 else [0])


def test_a_call_that_interrupts_another_call_fills_another_frame() -> None:
    for queue, _ in with_a_rival_at_every_step(
        lambda queue: queue.producer.append(record(0)), append_and_seal, frames=3, records=2
    ):
        assert sorted(audit(queue)) == [0, 1]


def test_a_producer_gets_no_frame_that_another_one_has_filled_last() -> None:
    """The frame is free when it is found, and in use when its lock is acquired."""
    other = in_another_process(append_and_keep_open)
    for queue, _ in with_a_rival_at_every_step(
        lambda queue: queue.producer.append(record(0)), other, frames=2, records=1
    ):
        assert sorted(audit(queue)) == [0, 1]


# The frames of dead processes


def abandon(queue: RecordQueue) -> None:
    """Leave a frame in FILLING and one in SENDING, whose owners have died."""

    def fill(queue: RecordQueue) -> None:
        queue.producer.append(record(0))
        queue.producer.append(record(1))

    queue.producer.append(record(2))
    queue.producer.append(record(3))
    queue.producer.seal()
    assert queue.arena.all_in(READY) == [0]
    in_another_process(claim_all)(queue)
    in_another_process(fill)(queue)
    assert (queue.arena.state(0), queue.arena.state(1)) == (SENDING, FILLING)


def sweep_and_send(queue: RecordQueue, sent: SharedCounts) -> None:
    janitor.sweep(queue.arena)
    send_all(queue, sent)


@pytest.mark.parametrize("rival", [sweep_and_send, settle, settle_and_fill_again])
def test_the_frames_of_the_dead_are_released_once(
    sent: SharedCounts, rival: Callable[[RecordQueue, SharedCounts], None]
) -> None:
    other = in_another_process(lambda queue: rival(queue, sent))
    for queue, _ in with_a_rival_at_every_step(
        lambda queue: janitor.sweep(queue.arena), other, abandon, frames=3, records=3
    ):
        assert owners(queue) == [None] * 3
        for number in drain(queue):
            sent.add(number)
        assert sent.numbers() - {10} == {0, 1, 2, 3}
        assert max(sent[number] for number in sent.numbers()) == 1
        assert queue.stats().balanced
        assert_clean(queue)
        sent.clear()


class Owner:
    """A process that owns a frame, and settles it and dies when the rival's turn has come."""

    def __init__(self, sent: SharedCounts) -> None:
        self._sent = sent

    def prepare(self, queue: RecordQueue) -> None:
        queue.producer.append(record(0))
        self._frame = claim(queue, 0)

    def finish(self, queue: RecordQueue) -> None:
        send(self._frame, self._sent)
        self._frame.advance(self._frame.length)
        queue.worker.settle(self._frame)


def test_a_sweep_leaves_a_frame_alone_whose_owner_settles_it_meanwhile(
    sent: SharedCounts,
) -> None:
    """This process is the owner, and another one sweeps; so the roles of the processes change."""
    owner = Owner(sent)
    for queue, _ in with_a_rival_at_every_step(
        owner.finish,
        in_another_process(lambda queue: sweep_and_send(queue, sent)),
        owner.prepare,
        frames=1,
    ):
        assert drain(queue) == []
        assert sent[0] == 1
        stats = queue.stats()
        assert (stats.accepted, stats.delivered) == (1, 1)
        assert_clean(queue)
        sent.clear()


def test_a_sweep_looks_at_a_frame_again_after_it_has_its_lock(sent: SharedCounts) -> None:
    """The frame was in SENDING when it was found; then its owner settled it and ended."""

    def settle_for_the_dead(queue: RecordQueue) -> None:
        janitor.sweep(queue.arena)
        send_all(queue, sent)
        queue.producer.append(record(5))

    def dead_worker(queue: RecordQueue) -> None:
        queue.producer.append(record(0))
        in_another_process(claim_all)(queue)

    def sweep_later(queue: RecordQueue) -> list[int]:
        return janitor.sweep(queue.arena)

    other = in_another_process(settle_for_the_dead)
    for queue, _ in with_a_rival_at_every_step(sweep_later, other, dead_worker, frames=2):
        for number in drain(queue):
            sent.add(number)
        assert {number: sent[number] for number in sent.numbers()} == {0: 1, 5: 1}
        assert_clean(queue)
        sent.clear()


# Frames that are joined


@rivals
def test_a_frame_is_joined_by_one_of_two_workers(
    sent: SharedCounts, rival: Callable[[RecordQueue, SharedCounts], None]
) -> None:
    def put_and_claim(queue: RecordQueue) -> None:
        put_eight(queue)
        claimed[:] = [claim(queue, 0)]

    def join(queue: RecordQueue) -> Frame:
        queue.worker.join_ready(claimed[0], records=100, size=64)
        return claimed.pop()

    claimed: list[Frame] = []

    def other(queue: RecordQueue) -> None:
        """Another thread of this process: there are many steps."""
        rival(queue, sent)

    for queue, frame in with_a_rival_at_every_step(join, other, put_and_claim, frames=8, records=2):
        numbers = numbers_of(frame)
        assert len(numbers) == len(set(numbers))
        assert not sent.numbers() & set(numbers), "none was sent before"
        send(frame, sent)
        frame.advance(frame.length)
        queue.worker.settle(frame)
        kept.clear()
        for number in drain(queue):
            sent.add(number)
        assert sent.numbers() - {10} == {*range(8)}
        assert max(sent[number] for number in sent.numbers()) == 1
        stats = queue.stats()
        assert stats.balanced
        assert stats.pending == 0
        assert_clean(queue)
        sent.clear()


def test_followers_are_settled_once_while_others_look_for_work(sent: SharedCounts) -> None:
    frames: list[Frame] = []

    def join(queue: RecordQueue) -> None:
        put_eight(queue)
        frames[:] = [claim(queue, 0)]
        queue.worker.join_ready(frames[0], records=100, size=64)
        assert len(frames[0].followers) == 3

    def finish(queue: RecordQueue) -> None:
        send(frames[0], sent)
        frames[0].advance(frames[0].length)
        queue.worker.settle(frames[0])

    other = in_another_process(lambda queue: sweep_and_send(queue, sent))
    for queue, _ in with_a_rival_at_every_step(finish, other, join, frames=8, records=2):
        for number in drain(queue):
            sent.add(number)
        assert {number: sent[number] for number in sent.numbers()} == dict.fromkeys(range(8), 1)
        stats = queue.stats()
        assert (stats.accepted, stats.delivered, stats.pending) == (8, 8, 0)
        assert_clean(queue)
        sent.clear()


# What two processes count


def test_counters_lose_nothing_when_two_processes_begin_to_count_at_once() -> None:
    other = in_another_process(lambda queue: queue.counters.add(REQUESTS, 100))
    for queue, _ in with_a_rival_at_every_step(
        lambda queue: queue.counters.add(REQUESTS), other, frames=1
    ):
        assert queue.counters.total(REQUESTS) == 101


# What is stored first


def work_through(queue: RecordQueue) -> None:
    """Fill, seal, claim, join, postpone, wake, advance, settle and fill again."""
    put_eight(queue)
    queue.worker.hand_back(claim(queue, 0))
    leader = claim(queue, 0)
    queue.worker.join_ready(leader, records=4, size=64)
    leader.aim(leader.length, NOW)
    leader.postpone(0, NOW)
    assert wake(queue.arena, 0, NOW)
    again = claim(queue, 0)
    again.advance(again.length)
    queue.worker.settle(again)
    queue.producer.append(record(8))
    queue.producer.seal()
    send_all(queue, SharedCounts())


def test_the_account_names_the_owner_before_the_state_says_that_there_is_one() -> None:
    with queue_of(frames=8, records=2) as queue:
        arena = queue.arena

        def look() -> None:
            for frame in range(arena.frames):
                if arena.state(frame) in (FILLING, SENDING):
                    assert arena.account(frame).process == arena.process

        def fill_and_send(queue: RecordQueue) -> None:
            put_eight(queue)
            send_all(queue, SharedCounts())

        intercept(queue, Observer(look))
        # Before each of these, the accounts name another process.
        in_another_process(put_eight)(queue)
        send_all(queue, SharedCounts())
        in_another_process(fill_and_send)(queue)
        put_eight(queue)
        assert sorted(audit(queue)) == [*range(8)]


def test_a_frame_changes_its_state_only_while_its_lock_is_held() -> None:
    with queue_of(frames=8, records=2) as queue:
        arena = queue.arena
        before = [arena.state(frame) for frame in range(arena.frames)]
        locked = [False] * arena.frames

        def look() -> None:
            for frame in range(arena.frames):
                state, held = arena.state(frame), arena.locks.holds(frame)
                if state != before[frame]:
                    assert held or locked[frame]
                if state == FILLING:
                    assert held
                if state == SENDING:
                    assert held
                before[frame], locked[frame] = state, held

        intercept(queue, Observer(look))
        work_through(queue)


def test_a_generation_is_never_seen_with_two_contents() -> None:
    """A process that reads a sealed frame at any step finds for each key what it found before."""
    contents: dict[tuple[int, int], bytes] = {}
    with queue_of(frames=2, records=2) as queue:
        arena = queue.arena

        def look() -> None:
            for frame in range(arena.frames):
                if arena.state(frame) in (READY, SENDING, WAITING):
                    account = arena.account(frame)
                    content = arena.content(frame, 0, account.length)
                    assert content.count(b"\n") == account.count
                    key = frame, account.generation
                    assert contents.setdefault(key, content) == content

        intercept(queue, Observer(look))
        for number in range(0, 12, 2):
            queue.producer.append(record(number))
            queue.producer.append(record(number + 1))
            send_all(queue, SharedCounts())
    assert len(contents) == 6


def test_a_free_frame_is_all_zeros_at_every_step() -> None:
    with queue_of(frames=8, records=2) as queue:
        arena = queue.arena

        def look() -> None:
            for frame in arena.all_in(FREE):
                assert not arena.content(frame, 0, arena.stride).strip(b"\0")

        intercept(queue, Observer(look))
        work_through(queue)
