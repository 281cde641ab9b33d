"""Death between any two steps: a process that kills itself before the k-th of its writes.

    arena.memory ─┐                       ┌─► the k-th step: SIGKILL
    arena.words  ─┼─► step(), one by one ─┤
    arena.locks  ─┘                       └─► any other: as it is

A step is one store to the shared memory (a slice of words is as many as it has words), and each
side of taking or giving back a lock. A copy of bytes is no single store: death can tear it, and
what is written of it is any part, not only a beginning.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

from dataart_mp.queue import RecordQueue
from tests.queue.tools import KILLED, die, in_a_child, queue_of

Tear = Callable[[int], list[slice]]
"""Which parts of so many bytes are written when death comes."""


def nothing(size: int) -> list[slice]:
    return []


def beginning(size: int) -> list[slice]:
    return [slice(0, size // 2)]


def all_but_the_newline(size: int) -> list[slice]:
    return [slice(0, size - 1)]


def tail(size: int) -> list[slice]:
    return [slice(size // 2, size)]


def only_the_newline(size: int) -> list[slice]:
    return [slice(size - 1, size)]


def all_but_a_hole(size: int) -> list[slice]:
    return [slice(0, size // 3), slice(size // 3 + 1, size)]


def everything(size: int) -> list[slice]:
    return [slice(0, size)]


TEARS: list[Tear] = [
    nothing,
    beginning,
    all_but_the_newline,
    tail,
    only_the_newline,
    all_but_a_hole,
    everything,
]


class Fate:
    """Counts the steps of this process, and kills it before a certain one.

    With a tear, the copies of bytes are all that counts: only in one of them it can die.
    """

    def __init__(self, fatal: int, tear: Tear = nothing) -> None:
        self._left = fatal
        self._tear = tear

    def step(self) -> None:
        if self._tear is nothing and self._is_fatal():
            die()

    def store(self, target: Any, start: int, data: bytes) -> None:
        """Copy bytes, or part of them."""
        if self._is_fatal():
            for part in self._tear(len(data)) if data else []:
                at = slice(start + part.start, start + part.stop)
                target[at] = data[part]
            die()
        target[start : start + len(data)] = data

    def _is_fatal(self) -> bool:
        self._left -= 1
        return self._left < 0

    def rule(self, queue: RecordQueue) -> None:
        """From here on, every write of this process is a step."""
        arena: Any = queue.arena
        arena.memory = _Memory(arena.memory, self)
        arena.words = _Words(arena.words, self)
        arena.locks = _Locks(arena.locks, self)
        memory: Any = arena.memory
        queue.producer._memory = memory


class _Memory:
    def __init__(self, target: Any, fate: Fate) -> None:
        self._target = target
        self._fate = fate
        self.find = target.find

    def __getitem__(self, key: Any) -> Any:
        return self._target[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, slice):
            self._fate.store(self._target, key.start, bytes(value))
        else:
            self._fate.step()
            self._target[key] = value


class _Words:
    def __init__(self, target: Any, fate: Fate) -> None:
        self._target = target
        self._fate = fate

    def __getitem__(self, key: Any) -> Any:
        return self._target[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, slice):
            for word, each in enumerate(list(value), key.start):
                self[word] = each
        else:
            self._fate.step()
            self._target[key] = value


class _Locks:
    def __init__(self, target: Any, fate: Fate) -> None:
        self._target = target
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def acquire(self, *arguments: Any) -> bool:
        self._fate.step()
        taken = self._target.acquire(*arguments)
        self._fate.step()
        assert isinstance(taken, bool)
        return taken

    def release(self, byte: int) -> None:
        self._fate.step()
        self._target.release(byte)
        self._fate.step()


def at_every_step(
    work: Callable[[RecordQueue], object],
    prepare: Callable[[RecordQueue], object] = lambda queue: None,
    tear: Tear = nothing,
    rule: Callable[[Fate, RecordQueue], object] = Fate.rule,
    **shape: Any,
) -> Iterator[RecordQueue]:
    """A queue in which a process has died before its first step, its second, and so on.

    Args:
        work: what the process does.
        prepare: what was done before, by others.
        tear: what is written of a copy that the death interrupts.
        rule: makes the process count its steps.
        shape: of the queue.
    """
    for fatal in itertools.count():
        with queue_of(**shape) as queue:
            prepare(queue)

            def live(queue: RecordQueue = queue, fatal: int = fatal) -> None:
                rule(Fate(fatal, tear), queue)
                work(queue)

            ended = in_a_child(live)
            assert ended in (KILLED, os.EX_OK), f"at step {fatal}"
            yield queue
        if ended == os.EX_OK:
            assert fatal, "there was no step at all"
            return
