"""The queue is compared with a simple model, while processes are really killed.

The model knows which records are in which frame, and which process owns the frame. After every step
the queue must agree with it on each record, each counter of the balance, and each frame in use.
"""

from dataclasses import dataclass, field
from functools import partial
from multiprocessing import Pipe
from queue import Full
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dataart_mp.queue import Frame, RecordQueue
from tests.queue.deaths import TEARS, DeathAtStep, everything
from tests.queue.internals import FREE, READY, WAITING, janitor, wake
from tests.queue.tools import (
    FAR_FUTURE,
    KILLED,
    NOW,
    assert_clean,
    drain,
    fork,
    kill,
    lines_of,
    numbers_of,
    reap,
    record,
)

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

FRAMES, CAPACITY, RECORDS, PROCESSES = 4, 64, 3, 3

# The states of a frame in the model, which contains no free frames.
OPEN, WAITS, SENT, POSTPONED = "open", "waits", "sent", "postponed"
NO_OWNER = -1


class Actor:
    """Carries out commands in a child process."""

    def __init__(self, queue: RecordQueue) -> None:
        self._queue = queue
        self._frames: dict[int, Frame] = {}

    def put(self, line: bytes) -> bool:
        try:
            self._queue.put_nowait(line)
        except Full:
            return False
        return True

    def put_alone(self, line: bytes) -> bool:
        try:
            self._queue.producer.append_alone(line, 0)
        except Full:
            return False
        return True

    def put_and_die(self, line: bytes, tear: int) -> bool:
        """Put, and die in the middle of the copy if there is room for the record."""
        DeathAtStep(0, TEARS[tear]).install(self._queue)
        return self.put(line)

    def seal(self) -> None:
        self._queue.producer.seal()

    def claim(self) -> tuple[int, str, list[int], int, bool] | None:
        for number in self._queue.arena.all_in(READY):
            frame = Frame.claim(self._queue.arena, number)
            if frame is not None:
                self._frames[number] = frame
                return number, frame.key, numbers_of(frame), frame.attempts, frame.is_identity
        return None

    def advance(self, number: int, records: int, outcome: dict[str, int]) -> None:
        frame = self._frames[number]
        lines = lines_of(frame)
        start = frame.spans()[0][0]
        end = start + sum(map(len, lines[:records]))
        frame.aim(end, NOW)
        frame.advance(end, **outcome)

    def postpone(self, number: int) -> None:
        frame = self._frames.pop(number)
        frame.aim(frame.length, NOW)
        frame.postpone(0, FAR_FUTURE)

    def settle(self, number: int) -> None:
        self._queue.worker.settle(self._frames.pop(number))


class Child:
    """A forked process with an actor."""

    def __init__(self, queue: RecordQueue) -> None:
        ours, theirs = Pipe()
        self.pid = fork(partial(self._act, queue, theirs))
        theirs.close()
        self._pipe: Connection[Any, Any] = ours

    @staticmethod
    def _act(queue: RecordQueue, pipe: "Connection[Any, Any]") -> None:
        actor = Actor(queue)
        while True:
            name, arguments = pipe.recv()
            pipe.send(getattr(actor, name)(*arguments))

    def __call__(self, name: str, *arguments: Any) -> Any:
        self._pipe.send((name, arguments))
        return self._pipe.recv()

    def is_killed_by(self, name: str, *arguments: Any) -> bool:
        try:
            self(name, *arguments)
        except EOFError:
            self._pipe.close()
            assert reap(self.pid) == KILLED
            return True
        return False

    def kill(self) -> None:
        self._pipe.close()
        kill(self.pid)


@dataclass(eq=False)
class ModelFrame:
    """The records of one frame."""

    state: str
    owner: int
    identity: bool = False
    numbers: list[int] = field(default_factory=list)
    used: int = 0
    through: int = 0
    rejected: int = 0
    failed: int = 0
    attempts: int = 0
    name: tuple[int, str] | None = None


class QueueMachine(RuleBasedStateMachine):
    """Three processes that put, claim, settle and die; this one checks and sweeps."""

    processes = st.integers(0, PROCESSES - 1)
    widths = st.sampled_from([0, 0, 0, 20, 40, CAPACITY])

    def __init__(self) -> None:
        super().__init__()
        self.queue = RecordQueue(FRAMES, CAPACITY, records=RECORDS, interval=60.0)
        self.children = [Child(self.queue) for _ in range(PROCESSES)]
        self.frames: list[ModelFrame] = []
        self.next = 0
        self.accepted = self.delivered = self.rejected = self.failed = 0
        self.keys: dict[str, list[int]] = {}

    def teardown(self) -> None:
        for child in self.children:
            child.kill()
        left = [number for frame in self.frames for number in frame.numbers[frame.through :]]
        try:
            assert sorted(drain(self.queue)) == sorted(left)
            assert_clean(self.queue)
            assert self.queue.stats().accepted == self.accepted
        finally:
            self.queue.close()

    def in_state(self, state: str, owner: int) -> list[ModelFrame]:
        return [each for each in self.frames if (each.state, each.owner) == (state, owner)]

    def claimed(self) -> list[ModelFrame]:
        """Return the claimed frames whose owner lives."""
        return [each for each in self.frames if each.state == SENT and each.owner != NO_OWNER]

    def make_room(self, process: int, size: int) -> ModelFrame | None:
        """Return the open frame for a record of this size, a new one if necessary, or None."""
        for frame in self.in_state(OPEN, process):
            if frame.used + size <= CAPACITY:
                return frame
            frame.state, frame.owner = WAITS, NO_OWNER
        if len(self.frames) == FRAMES:
            return None
        self.frames.append(ModelFrame(OPEN, process))
        return self.frames[-1]

    @rule(process=processes, width=widths)
    def put(self, process: int, width: int) -> None:
        line = record(self.next, width)
        frame = self.make_room(process, len(line))
        assert self.children[process]("put", line) == (frame is not None)
        if frame is not None:
            frame.numbers.append(self.next)
            frame.used += len(line)
            if len(frame.numbers) == RECORDS:
                frame.state, frame.owner = WAITS, NO_OWNER
            self.accepted += 1
        self.next += 1

    @rule(process=processes, width=widths)
    def put_alone(self, process: int, width: int) -> None:
        room = len(self.frames) < FRAMES
        assert self.children[process]("put_alone", record(self.next, width)) == room
        if room:
            self.frames.append(ModelFrame(WAITS, NO_OWNER, identity=True, numbers=[self.next]))
            self.accepted += 1
        self.next += 1

    @rule(process=processes)
    def seal(self, process: int) -> None:
        self.children[process]("seal")
        for frame in self.in_state(OPEN, process):
            frame.state, frame.owner = WAITS, NO_OWNER

    @rule(process=processes)
    def claim(self, process: int) -> None:
        claimed = self.children[process]("claim")
        waiting = self.in_state(WAITS, NO_OWNER)
        if claimed is None:
            assert waiting == []
            return
        number, key, numbers, attempts, identity = claimed
        # Compare names too: two frames without records left differ only in their names.
        (frame,) = [
            each
            for each in waiting
            if each.numbers[each.through :] == numbers and each.name in (None, (number, key))
        ]
        assert (frame.attempts, frame.identity) == (attempts, identity)
        assert self.keys.setdefault(key, frame.numbers) is frame.numbers, "no key is reused"
        frame.name = number, key
        frame.state, frame.owner = SENT, process

    @precondition(lambda self: self.claimed())
    @rule(data=st.data())
    def work(self, data: st.DataObject) -> None:
        """Continue with a claimed frame: finish some of its records, postpone it, or settle it."""
        frame = data.draw(st.sampled_from(self.claimed()))
        assert frame.name is not None
        child, number = self.children[frame.owner], frame.name[0]
        rest = len(frame.numbers) - frame.through
        steps = ["settle"] + ["advance", "postpone"] * (rest > 0)
        match data.draw(st.sampled_from(steps)):
            case "advance":
                records = data.draw(st.integers(1, rest))
                counter = data.draw(st.sampled_from(["rejected", "failed", None]))
                outcome = {} if counter is None else {counter: records}
                child("advance", number, records, outcome)
                frame.through += records
                frame.rejected += outcome.get("rejected", 0)
                frame.failed += outcome.get("failed", 0)
                frame.attempts = 0
            case "postpone":
                child("postpone", number)
                frame.attempts += 1
                frame.state, frame.owner = POSTPONED, NO_OWNER
            case "settle":
                child("settle", number)
                self.frames.remove(frame)
                self.rejected += frame.rejected
                self.failed += frame.failed
                self.delivered += len(frame.numbers) - frame.rejected - frame.failed

    @rule(process=processes)
    def die(self, process: int) -> None:
        self.children[process].kill()
        self.replace(process)

    @rule(process=processes, width=widths, tear=st.integers(1, TEARS.index(everything) - 1))
    def die_in_the_middle_of_a_put(self, process: int, width: int, tear: int) -> None:
        line = record(self.next, width)
        self.next += 1
        room = self.make_room(process, len(line)) is not None
        assert self.children[process].is_killed_by("put_and_die", line, tear) == room
        if not room:
            self.children[process].kill()
        self.replace(process)

    def replace(self, process: int) -> None:
        """Replace a dead process; its frames have no owner until a sweep."""
        for frame in self.frames:
            if frame.owner == process:
                frame.owner = NO_OWNER
        self.children[process] = Child(self.queue)

    @rule()
    def sweep(self) -> None:
        janitor.sweep(self.queue.arena)
        for frame in [*self.in_state(OPEN, NO_OWNER), *self.in_state(SENT, NO_OWNER)]:
            if frame.numbers:
                frame.state = WAITS
            else:
                self.frames.remove(frame)

    @rule()
    def wake(self) -> None:
        for number in self.queue.arena.all_in(WAITING):
            assert wake(self.queue.arena, number, FAR_FUTURE)
        for frame in self.in_state(POSTPONED, NO_OWNER):
            frame.state = WAITS

    @invariant()
    def agrees(self) -> None:
        stats = self.queue.stats()
        assert stats.balanced
        assert stats.accepted == self.accepted
        assert stats.pending == sum(len(frame.numbers) for frame in self.frames)
        assert (stats.delivered, stats.rejected, stats.failed) == (
            self.delivered,
            self.rejected,
            self.failed,
        )
        assert FRAMES - len(self.queue.arena.all_in(FREE)) == len(self.frames)
        fetched = [frame for frame in self.frames if frame.state == SENT]
        waiting = sum(len(frame.numbers) for frame in self.frames if frame not in fetched)
        assert self.queue.qsize() == waiting


def run(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        QueueMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_queue_agrees_with_a_simple_model_whichever_processes_die() -> None:
    run(40, 40)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_the_queue_agrees_with_the_model_for_a_long_time() -> None:
    run(3000, 60)
