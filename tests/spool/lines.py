"""Interleavings of whole functions: what a rival does before any line of this thread's code."""

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

Result = TypeVar("Result")


class RivalAtLine:
    """Calls a rival once in this thread, before the n-th line of the code in a directory.

    Args:
        at: How many lines come before.
        rival: What is called.
        code: The directory.

    Attributes:
        happened: Whether it was called.
    """

    def __init__(self, at: int, rival: Callable[[], object], code: Path) -> None:
        self._left = at
        self._rival = rival
        self._code = str(code)
        self.happened = False

    def __enter__(self) -> "RivalAtLine":
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._step if frame.f_code.co_filename.startswith(self._code) else None

    def _step(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line" and not self.happened:
            self._left -= 1
            if self._left < 0:
                self.happened = True
                sys.settrace(None)
                self._rival()
        return self._step


def with_a_rival_at_every_line(
    code: Path,
    prepare: Callable[[], tuple[Callable[[], Result], Callable[[], object]]],
) -> Iterator[Result]:
    """Yield what the work returned, for each line of it before which the rival acted.

    Args:
        code: The directory with the code of which each line counts.
        prepare: Called for each line; returns the work and the rival.
    """
    for at in itertools.count():
        work, act = prepare()
        with RivalAtLine(at, act, code) as rival:
            result = work()
        yield result
        if not rival.happened:
            assert at, "the work has no lines"
            return
