"""The progress of one call that emits many events, reported to the caller."""

import contextlib
from collections.abc import Callable, Iterator

Progress = Callable[[int], object]
"""Called with the number of events, or rows, that are processed."""


class ProgressReport:
    """Reports progress, each number once.

    Args:
        progress: Called with the number; None: there is nothing to report to.
        number: Returns the number of events that are processed.
    """

    def __init__(self, progress: Progress | None, number: Callable[[], int]) -> None:
        self._progress = progress
        self._number = number
        self._reported = 0

    def __call__(self) -> None:
        """Report the number, if it has changed."""
        number = self._number()
        if self._progress is not None and number != self._reported:
            self._reported = number
            self._progress(number)

    @contextlib.contextmanager
    def at_last(self) -> Iterator[None]:
        """Report the last number when the block ends, also if it raises or is cancelled."""
        try:
            yield
        finally:
            self()
