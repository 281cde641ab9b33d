"""Ctrl-C and SIGTERM as the same request for an orderly stop."""

import signal
from types import FrameType, TracebackType
from typing import Final, Self

from dataart_mp.cli.exit_code import ExitCode

_EXIT_CODES: Final = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
}


class StopSignals:
    """A context in which SIGTERM raises KeyboardInterrupt, as SIGINT does; main thread only.

    A signal that is ignored stays ignored: a shell ignores SIGINT for a command that a script runs
    in the background, so that Ctrl-C ends the script only.

    Attributes:
        exit_code: The exit code for the last signal; INTERRUPTED before the first one.
    """

    def __init__(self) -> None:
        self.exit_code = ExitCode.INTERRUPTED
        self._previous = {
            number: handler
            for number in _EXIT_CODES
            if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
        }

    def __enter__(self) -> Self:
        for number in self._previous:
            signal.signal(number, self._stop)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self.exit_code = _EXIT_CODES[signal.Signals(number)]
        raise KeyboardInterrupt
