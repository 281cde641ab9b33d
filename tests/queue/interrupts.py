"""Something happens between two bytecodes of the queue's code: Ctrl-C, a handler, a fork.

A signal handler runs, and raises, only where the interpreter looks for signals: after a call, at
the start of a function, at the end of a loop. Here it happens before every single bytecode, which
is more than any interpreter does. Spared are the bytecodes by which it unwinds its own stack of
exceptions: one more there leaves it in disorder.
"""

import dis
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import dataart_mp.queue

_LOOKING = {"CALL", "CALL_FUNCTION_EX", "CALL_KW", "JUMP_BACKWARD", "RESUME"}
_UNWINDING = {"COPY", "POP_EXCEPT", "PUSH_EXC_INFO", "RERAISE"}
_CODE = str(Path(dataart_mp.queue.__file__).parent)


def ctrl_c() -> NoReturn:
    raise KeyboardInterrupt


class Interruption:
    """Lets `deed` happen in this thread, once, before the `at`-th bytecode of the queue's code.

    Args:
        at: how many bytecodes go before.
        deed: what happens.
        real: count, and hit, only where the interpreter really looks for signals.
        within: count, and hit, only in this function; "" is all of them.
    """

    def __init__(
        self, at: int, deed: Callable[[], object], *, real: bool = False, within: str = ""
    ) -> None:
        self._left = at
        self._deed = deed
        self._real = real
        self._within = within
        self._looks = False
        self.happened = False

    def __enter__(self) -> "Interruption":
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
            hits = name not in _UNWINDING and (self._looks or not self._real)
            hits = hits and self._within in (frame.f_code.co_name, "")
            self._looks = name in _LOOKING
            self._left -= hits
            if hits and self._left < 0:
                self.happened = True
                sys.settrace(None)
                self._deed()
        return self._step


def is_inside(frame: FrameType | None) -> bool:
    """Whether the queue's code is at work in this frame, or called it."""
    while frame is not None and not frame.f_code.co_filename.startswith(_CODE):
        frame = frame.f_back
    return frame is not None


def everywhere(
    step: int = 1, *, real: bool = False, within: str = ""
) -> Iterator[Callable[[Callable[[], object]], Interruption]]:
    """Makers of an interruption: at the first bytecode, the second, until none is that late."""
    for at in itertools.count(0, step):
        made: list[Interruption] = []

        def make(
            deed: Callable[[], object], at: int = at, made: list[Interruption] = made
        ) -> Interruption:
            made.append(Interruption(at, deed, real=real, within=within))
            return made[0]

        yield make
        if not made[0].happened:
            assert at > step, "there was no step at all"
            return
