"""Ctrl-C and SIGTERM as one and the same request to come to an orderly end."""

import signal
from types import FrameType, TracebackType
from typing import Final, Self

from dataart_mp.cli.exit_code import ExitCode

_EXIT_CODES: Final = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
}


class StopSignals:
    """A block in which SIGTERM raises KeyboardInterrupt, as SIGINT does; only in the main thread.

    Attributes:
        exit_code: What the last signal asks to exit with; INTERRUPTED before there was one.
    """

    def __init__(self) -> None:
        self.exit_code = ExitCode.INTERRUPTED
        self._before = {number: signal.getsignal(number) for number in _EXIT_CODES}

    def __enter__(self) -> Self:
        for number in _EXIT_CODES:
            signal.signal(number, self._stop)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self.exit_code = _EXIT_CODES[signal.Signals(number)]
        raise KeyboardInterrupt
