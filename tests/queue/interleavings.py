"""Interleavings: what another process or thread does between any two steps of this one.

    work      step 1 ── step 2 ── … ── step n ┊            ┊ step n+1 ── …
    rival                                     ┊ everything ┊

Each n is tried, so no interleaving of this kind depends on luck. See `steps`; reads count, too.
"""

import itertools
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from dataart_mp.queue import RecordQueue
from tests.queue.steps import intercept
from tests.queue.tools import SharedCounts, fork, in_a_child, kill, queue_of
from tests.support import wait_until

Result = TypeVar("Result")
Rival = Callable[[RecordQueue], object]


class RivalAtStep:
    """Counts the steps of this process, and calls a rival once, before one of them.

    Args:
        steps: How many steps come before.
        rival: What is called.

    Attributes:
        happened: Whether it was called.
    """

    def __init__(self, steps: int, rival: Callable[[], object]) -> None:
        self._left = steps
        self._rival = rival
        self.happened = False

    def read(self) -> None:
        self.step()

    def step(self) -> None:
        self._left -= 1
        if self._left < 0 and not self.happened:
            self.happened = True
            self._rival()

    def store(self, target: Any, start: int, data: bytes) -> None:
        """Copy the bytes in two halves: the rival may see the first one alone."""
        self.step()
        half = len(data) // 2
        target[start : start + half] = data[:half]
        self.step()
        target[start + half : start + len(data)] = data[half:]


class Watch:
    """Looks at a queue before every step of this process.

    Args:
        look: What is done.
    """

    def __init__(self, look: Callable[[], object]) -> None:
        self._look = look
        self._looking = False

    def read(self) -> None:
        """Do nothing: nothing has changed since the last step."""

    def step(self) -> None:
        if not self._looking:
            self._looking = True
            self._look()
            self._looking = False

    def store(self, target: Any, start: int, data: bytes) -> None:
        self.step()
        target[start : start + len(data)] = data
        self.step()


def with_a_rival_at_every_step(
    work: Callable[[RecordQueue], Result],
    rival: Rival,
    prepare: Callable[[RecordQueue], object] = lambda queue: None,
    **shape: Any,
) -> Iterator[tuple[RecordQueue, Result]]:
    """Yield a queue, and what `work` returned, for each step of it before which the rival acted.

    At last, the rival acts after all steps.

    Args:
        work: What this process does.
        rival: What is done between two of its steps; it must not wait for this process.
        prepare: What is done before.
        shape: Arguments of `queue_of`.
    """
    for at in itertools.count():
        with queue_of(**shape) as queue:
            prepare(queue)
            steps = RivalAtStep(at, partial(rival, queue))
            intercept(queue, steps)
            result = work(queue)
            happened = steps.happened
            steps.happened = True  # what follows are not steps of the work
            if not happened:
                rival(queue)
            yield queue, result
        if not happened:
            assert at, "the work has no steps"
            return


def in_another_process(rival: Rival) -> Rival:
    """Return a rival that acts in another process, which then ends, whatever it owns."""

    def act(queue: RecordQueue) -> None:
        assert in_a_child(partial(rival, queue)) == 0

    return act


class InALivingProcess:
    """A rival that acts in another process, which lives on and keeps what it owns.

    Args:
        rival: What it does.
    """

    def __init__(self, rival: Rival) -> None:
        self._rival = rival
        self._pids: list[int] = []

    def __call__(self, queue: RecordQueue) -> None:
        done = SharedCounts(1)

        def act() -> None:
            self._rival(queue)
            done.add(0)
            signal.pause()

        self._pids.append(fork(act))
        wait_until(lambda: done[0])

    def end(self) -> None:
        """Kill the process, if there is one."""
        while self._pids:
            kill(self._pids.pop())
