"""The steps of a process: what it does to the shared memory and to the locks, one by one.

    arena.memory ─┐
    arena.words  ─┼─► read(), step() or store(), before each of them
    arena.locks  ─┘

A step is one store to the shared memory (a slice of words counts as many steps as it has words), or
one side of taking or releasing a lock. A look at the shared memory is a read. Between two of them,
another process may do anything, and this one may die.
"""

from typing import Any, Protocol

from dataart_mp.queue import RecordQueue
from tests.queue.internals import intercept_writes


class Steps(Protocol):
    """What happens at each step of a process."""

    def read(self) -> None:
        """Called before a look at the shared memory."""

    def step(self) -> None:
        """Called before a store of one byte or word, and at both sides of a call of a lock."""

    def store(self, target: Any, start: int, data: bytes) -> None:
        """Copy bytes to `target`. A copy is not a single store: others may see parts of it."""


def intercept(queue: RecordQueue, steps: Steps) -> None:
    """Pass every step of this process on the queue's arena to `steps`, from now on."""
    arena = queue.arena
    intercept_writes(
        queue, _Memory(arena.memory, steps), _Words(arena.words, steps), _Locks(arena.locks, steps)
    )


class _Proxy:
    """Passes everything on to `target`; subclasses find the steps."""

    def __init__(self, target: Any, steps: Steps) -> None:
        self._target = target
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


class _Items(_Proxy):
    def __getitem__(self, key: Any) -> Any:
        self._steps.read()
        return self._target[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, slice):
            self._store(key.start, value)
        else:
            self._steps.step()
            self._target[key] = value

    def _store(self, start: int, value: Any) -> None:
        raise NotImplementedError


class _Memory(_Items):
    def find(self, *arguments: Any) -> int:
        self._steps.read()
        return int(self._target.find(*arguments))

    def _store(self, start: int, value: Any) -> None:
        self._steps.store(self._target, start, bytes(value))


class _Words(_Items):
    def _store(self, start: int, value: Any) -> None:
        for number, word in enumerate(list(value), start):
            self[number] = word


class _Locks(_Proxy):
    def acquire(self, *arguments: Any) -> bool:
        self._steps.step()
        taken = self._target.acquire(*arguments)
        self._steps.step()
        assert isinstance(taken, bool)
        return taken

    def acquire_many(self, *arguments: Any) -> list[range]:
        self._steps.step()
        taken: list[range] = self._target.acquire_many(*arguments)
        self._steps.step()
        return taken

    def release(self, byte: int) -> None:
        self._steps.step()
        self._target.release(byte)
        self._steps.step()

    def release_range(self, span: range) -> None:
        self._steps.step()
        self._target.release_range(span)
        self._steps.step()
