"""Threads of one process that lock the same byte: each step of one is a chance for the other."""

import fcntl
import gc
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tests.queue.internals import Arena
from tests.queue.tools import in_a_child

BYTE = 3
SPAN = range(BYTE - 2, BYTE + 3)
"""Successive bytes, one of which is BYTE."""


class Holder:
    """Holds a byte."""


class OtherThread:
    """Acts once, before the n-th step of a call of another thread."""

    def __init__(self, at: int) -> None:
        self._left = at
        self._act: Any = None
        self.happened = False

    def step(self) -> None:
        self._left -= 1
        if self._left < 0 and not self.happened and self._act is not None:
            self.happened = True
            self._act()

    def acts(self, act: Any) -> None:
        """Begin to count the steps."""
        self._act = act


class Claims(dict[Any, Any]):
    """A dictionary each of whose operations is a step; each is atomic, as those of a dict are."""

    def __init__(self, other: OtherThread) -> None:
        super().__init__()
        self._other = other

    def setdefault(self, key: Any, default: Any = None) -> Any:
        self._other.step()
        return super().setdefault(key, default)

    def pop(self, key: Any, *default: Any) -> Any:
        self._other.step()
        return super().pop(key, *default)

    def get(self, key: Any, default: Any = None) -> Any:
        self._other.step()
        return super().get(key, default)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._other.step()
        super().__setitem__(key, value)

    def __delitem__(self, key: Any) -> None:
        self._other.step()
        super().__delitem__(key)


@pytest.fixture
def arena() -> Iterator[Arena]:
    made = Arena.create(8, 64)
    yield made
    made.close()


def observe(arena: Arena, monkeypatch: pytest.MonkeyPatch, other: OtherThread) -> None:
    """Make each step of a call of the locks a chance for the other thread."""
    locks: Any = arena.locks
    locks._held = Claims(other)
    locks._successors = Claims(other)
    lockf = fcntl.lockf

    def slow_lockf(*arguments: Any) -> None:
        other.step()
        lockf(*arguments)
        other.step()

    monkeypatch.setattr(fcntl, "lockf", slow_lockf)


def assert_agrees_with_the_kernel(arena: Arena) -> None:
    """Check that this process believes that it has a byte if the kernel says so, and only then."""
    believes = arena.locks.holds(BYTE)

    def ask() -> None:
        arena.locks.forget()
        assert (arena.locks.owner(BYTE) is not None) == believes

    assert in_a_child(ask) == 0


@pytest.mark.parametrize(
    ("mine", "theirs"), [([BYTE], [BYTE]), (SPAN, range(BYTE, BYTE + 9))], ids=["one", "many"]
)
def test_two_threads_never_have_the_same_byte(
    arena: Arena, monkeypatch: pytest.MonkeyPatch, mine: Sequence[int], theirs: Sequence[int]
) -> None:
    for at in itertools.count():
        other, one, two = OtherThread(at), Holder(), Holder()
        observe(arena, monkeypatch, other)
        got: list[range] = []
        other.acts(lambda got=got, two=two: got.extend(arena.locks.acquire_many(theirs, two)))
        first = arena.locks.acquire_many(mine, one)
        monkeypatch.undo()
        assert [byte for span in (*first, *got) for byte in span].count(BYTE) == 1, f"step {at}"
        assert_agrees_with_the_kernel(arena)
        happened, other.happened = other.happened, True  # what follows does not count
        for span in (*first, *got):
            arena.locks.release_range(span)
        assert arena.locks.held() == []
        if not happened:
            return


@pytest.mark.parametrize(
    ("numbers", "release"),
    [
        ([BYTE], lambda locks: locks.release(BYTE)),
        (SPAN, lambda locks: locks.release_range(SPAN)),
    ],
    ids=["one", "many"],
)
def test_no_other_thread_gets_a_byte_before_the_kernel_has_released_it(
    arena: Arena,
    monkeypatch: pytest.MonkeyPatch,
    numbers: Sequence[int],
    release: Callable[[Any], None],
) -> None:
    """Else the release of one thread would drop the lock that the other believes to have."""
    for at in itertools.count():
        one, two = Holder(), Holder()
        other = OtherThread(at)
        observe(arena, monkeypatch, other)
        assert arena.locks.acquire_many(numbers, one)
        other.acts(lambda two=two: arena.locks.acquire(BYTE, two))
        release(arena.locks)
        monkeypatch.undo()
        assert_agrees_with_the_kernel(arena)
        if arena.locks.holds(BYTE):
            arena.locks.release(BYTE)
        if not other.happened:
            return


def test_of_many_bytes_those_that_are_free_are_taken_by_few_calls_to_the_kernel(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert arena.locks.acquire(9)
    calls: list[tuple[int, int]] = []
    lockf = fcntl.lockf

    def counting(fd: int, command: int, length: int, start: int) -> None:
        calls.append((start, length))
        lockf(fd, command, length, start)

    monkeypatch.setattr(fcntl, "lockf", counting)
    holder = Holder()
    taken = arena.locks.acquire_many([1, 2, 3, 5, 8, 9, 10], holder)
    assert taken == [range(1, 4), range(5, 6), range(8, 9), range(10, 11)]
    assert calls == [(1, 3), (5, 1), (8, 1), (10, 1)]
    assert all(arena.locks.is_held_by(byte, holder) for span in taken for byte in span)
    calls.clear()
    for span in taken:
        arena.locks.release_range(span)
    assert calls == [(1, 3), (5, 1), (8, 1), (10, 1)]
    assert arena.locks.held() == [9]
    assert arena.locks.acquire_many([], holder) == []


def test_many_bytes_are_locked_for_other_processes_and_none_that_they_have_is_taken(
    arena: Arena,
) -> None:
    holder = Holder()
    assert arena.locks.acquire(BYTE)

    def child() -> None:
        arena.locks.forget()
        inner = Holder()
        taken = arena.locks.acquire_many(SPAN, inner)
        assert taken == [range(byte, byte + 1) for byte in SPAN if byte != BYTE]
        assert not arena.locks.holds(BYTE)

    assert in_a_child(child) == 0
    arena.locks.release(BYTE)
    assert arena.locks.acquire_many(SPAN, holder) == [SPAN]

    def other() -> None:
        arena.locks.forget()
        assert arena.locks.acquire_many(SPAN, Holder()) == []
        assert arena.locks.held() == []

    assert in_a_child(other) == 0


def lose(arena: Arena) -> None:
    """Acquire a byte for a holder that is collected without a release."""
    holder = Holder()
    assert arena.locks.acquire(BYTE, holder)
    del holder
    gc.collect()
    assert arena.locks.lost() == [BYTE]


def test_a_lost_byte_has_exactly_one_successor(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in itertools.count():
        other, one, two = OtherThread(at), Holder(), Holder()
        observe(arena, monkeypatch, other)
        lose(arena)
        got: list[bool] = []
        other.acts(lambda got=got, two=two: got.append(arena.locks.acquire(BYTE, two)))
        first = arena.locks.acquire(BYTE, one)
        monkeypatch.undo()
        assert [first, *got].count(True) == 1, f"before step {at}"
        assert arena.locks.is_held_by(BYTE, one if first else two)
        assert_agrees_with_the_kernel(arena)
        assert not arena.locks._successors
        arena.locks.release(BYTE)
        if not other.happened:
            return


def test_a_lost_byte_that_was_released_in_between_has_at_most_one_owner(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other thread takes the byte over and releases it, between two steps of this one."""
    for at in itertools.count():
        other, one, two = OtherThread(at), Holder(), Holder()
        observe(arena, monkeypatch, other)
        lose(arena)

        def take_and_release(two: Holder = two) -> None:
            if arena.locks.acquire(BYTE, two):
                arena.locks.release(BYTE)

        other.acts(take_and_release)
        first = arena.locks.acquire(BYTE, one)
        monkeypatch.undo()
        assert arena.locks.holds(BYTE) == first, f"before step {at}"
        assert_agrees_with_the_kernel(arena)
        if first:
            arena.locks.release(BYTE)
        if not other.happened:
            return


def test_a_byte_of_another_process_is_refused_and_not_claimed(arena: Arena) -> None:
    assert arena.locks.acquire(BYTE)

    def child() -> None:
        arena.locks.forget()
        assert not arena.locks.acquire(BYTE)
        assert not arena.locks.holds(BYTE), "it can be acquired as soon as it is free"

    assert in_a_child(child) == 0


@pytest.mark.parametrize("numbers", [[BYTE], SPAN], ids=["one", "many"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, MemoryError])
def test_an_exception_in_the_middle_leaves_no_claim(
    arena: Arena,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
    numbers: Sequence[int],
) -> None:
    lockf = fcntl.lockf

    def interrupted(fd: int, command: int, *rest: Any) -> None:
        lockf(fd, command, *rest)
        if command & fcntl.LOCK_EX:
            raise error

    monkeypatch.setattr(fcntl, "lockf", interrupted)
    with pytest.raises(error):
        arena.locks.acquire_many(numbers, Holder())
    monkeypatch.undo()
    assert arena.locks.held() == []
    assert_agrees_with_the_kernel(arena)
    assert arena.locks.acquire(BYTE)


def test_a_failing_unlock_leaves_no_claim_behind(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: Any) -> None:
        raise OSError

    assert arena.locks.acquire(BYTE)
    monkeypatch.setattr(fcntl, "lockf", failing)
    with pytest.raises(OSError):  # noqa: PT011
        arena.locks.release(BYTE)
    monkeypatch.undo()
    assert not arena.locks.holds(BYTE)


def test_only_the_holder_that_acquired_a_byte_holds_it(arena: Arena) -> None:
    one, two = Holder(), Holder()
    assert arena.locks.acquire(BYTE, one)
    assert arena.locks.is_held_by(BYTE, one)
    assert not arena.locks.is_held_by(BYTE, two)
    assert arena.locks.holders() == [one]
    assert arena.locks.held() == [BYTE]
    arena.locks.release(BYTE)
    assert not arena.locks.is_held_by(BYTE, one)
    assert arena.locks.acquire(BYTE)
    assert not arena.locks.is_held_by(BYTE, one), "it is held for no object"
    assert arena.locks.lost() == [], "a claim without a holder cannot be lost"
