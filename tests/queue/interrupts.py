"""Interruptions between two bytecodes of the queue's code: Ctrl-C, a signal handler, a fork.

A signal handler runs, and raises, only where the interpreter checks for signals: after a call, at
the start of a function, at the end of a loop. Here it can happen before every bytecode, which is
more often than in any interpreter. The bytecodes by which the interpreter unwinds its stack of
exceptions are excluded: another exception there corrupts that stack.
"""

import dis
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import pytest

import dataart_mp.queue

_CHECKS_SIGNALS = {"CALL", "CALL_FUNCTION_EX", "CALL_KW", "JUMP_BACKWARD", "RESUME"}
_UNWINDS = {"COPY", "POP_EXCEPT", "PUSH_EXC_INFO", "RERAISE"}
_CODE = str(Path(dataart_mp.queue.__file__).parent)

points = pytest.mark.parametrize(
    "real",
    [True, pytest.param(False, marks=pytest.mark.soak)],
    ids=["where signals are checked", "everywhere"],
)
"""Parametrizes a test: at real points only, which takes a quarter of the time, or everywhere."""


def ctrl_c() -> NoReturn:
    """Raise what Ctrl-C raises."""
    raise KeyboardInterrupt


class Interruption:
    """Calls a function once in this thread, before the n-th bytecode of the queue's code.

    Args:
        at: How many bytecodes come before.
        function: What is called.
        real: Whether only points count at which the interpreter checks for signals.
        within: The name of the only function whose bytecodes count; "" for all functions.

    Attributes:
        happened: Whether the function was called.
    """

    def __init__(
        self, at: int, function: Callable[[], object], *, real: bool = False, within: str = ""
    ) -> None:
        self._left = at
        self._function = function
        self._real = real
        self._within = within
        self._checks = False
        self.happened = False

    def __enter__(self) -> "Interruption":
        # Python 3.12 reports opcodes only if some frame asked for them before the call of settrace.
        sys._getframe().f_trace_opcodes = True
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(_CODE):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self._step

    def _step(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode" and not self.happened:
            name = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            counts = name not in _UNWINDS and (self._checks or not self._real)
            counts = counts and self._within in (frame.f_code.co_name, "")
            self._checks = name in _CHECKS_SIGNALS
            self._left -= counts
            if counts and self._left < 0:
                self.happened = True
                sys.settrace(None)
                self._function()
        return self._step


def is_inside(frame: FrameType | None) -> bool:
    """Whether this frame runs the queue's code, or was called by it."""
    while frame is not None and not frame.f_code.co_filename.startswith(_CODE):
        frame = frame.f_back
    return frame is not None


def everywhere(
    step: int = 1, *, real: bool = False, within: str = ""
) -> Iterator[Callable[[Callable[[], object]], Interruption]]:
    """Yield makers of an interruption at the first bytecode, the second, and so on to the last.

    Args:
        step: Take every n-th bytecode only.
        real: As for `Interruption`.
        within: As for `Interruption`.
    """
    for at in itertools.count(0, step):
        made: list[Interruption] = []

        def make(
            function: Callable[[], object], at: int = at, made: list[Interruption] = made
        ) -> Interruption:
            made.append(Interruption(at, function, real=real, within=within))
            return made[0]

        yield make
        if not made[0].happened:
            assert at > step, "no bytecode was interrupted"
            return
