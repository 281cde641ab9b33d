"""Death between any two steps: a process that kills itself before the n-th of its steps.

See `steps`. Copying bytes is not a single store: a death can tear the copy, and any part of it may
be written, not only its beginning.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

from dataart_mp.queue import RecordQueue
from tests.queue.steps import intercept
from tests.queue.tools import KILLED, die, in_a_child, queue_of

Tear = Callable[[int], list[slice]]
"""Returns which parts of so many bytes have been written when the process dies."""


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


class DeathAtStep:
    """Counts the steps of this process, and kills it before one of them.

    Args:
        steps: How many steps are carried out.
        tear: What is written of a copy in which the process dies. If it is not `nothing`, only
            copies count as steps.
    """

    def __init__(self, steps: int, tear: Tear = nothing) -> None:
        self._left = steps
        self._tear = tear

    def install(self, queue: RecordQueue) -> None:
        """Count every write of this process to the queue's arena as a step, from now on."""
        intercept(queue, self)

    def read(self) -> None:
        """Do nothing: a death before a read is a death before the next step."""

    def step(self) -> None:
        """Count a step that is not a copy."""
        if self._tear is nothing and self._is_fatal():
            die()

    def store(self, target: Any, start: int, data: bytes) -> None:
        """Count a copy as a step, and copy the bytes or, when the process dies, parts of them."""
        if self._is_fatal():
            for part in self._tear(len(data)) if data else []:
                at = slice(start + part.start, start + part.stop)
                target[at] = data[part]
            die()
        target[start : start + len(data)] = data

    def _is_fatal(self) -> bool:
        self._left -= 1
        return self._left < 0


def at_every_step(
    work: Callable[[RecordQueue], object],
    prepare: Callable[[RecordQueue], object] = lambda queue: None,
    tear: Tear = nothing,
    install: Callable[[DeathAtStep, RecordQueue], object] = DeathAtStep.install,
    **shape: Any,
) -> Iterator[RecordQueue]:
    """Yield a queue on which a process has died before its first step, its second step, and so on.

    Args:
        work: What the process does.
        prepare: What another process does before.
        tear: What is written of a copy in which the process dies.
        install: Makes the process count its steps.
        shape: Arguments of `queue_of`.
    """
    for steps in itertools.count():
        with queue_of(**shape) as queue:
            prepare(queue)

            def child(queue: RecordQueue = queue, steps: int = steps) -> None:
                install(DeathAtStep(steps, tear), queue)
                work(queue)

            ended = in_a_child(child)
            assert ended in (KILLED, os.EX_OK), f"at step {steps}"
            yield queue
        if ended == os.EX_OK:
            assert steps, "the work has no steps"
            return
