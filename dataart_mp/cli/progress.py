"""The progress of a command on standard error.

The work only counts; a thread reads the counts at intervals and shows them.
"""

import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from dataart_mp.cli.message import report

_BAR_SECONDS: Final = 0.1
_LINE_SECONDS: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The progress at one moment.

    Attributes:
        done: The amount that is done, in any unit.
        total: The whole amount, in the same unit; None: it is unknown.
        text: Details, on one line.
    """

    done: int
    total: int | None
    text: str

    def __str__(self) -> str:
        share = f"{self.done / self.total:4.0%}  " if self.total else ""
        return f"{share}{self.text}"


TakeSnapshot = Callable[[], Snapshot]
"""Returns the current progress; called from another thread."""


def progress(
    title: str,
    take_snapshot: TakeSnapshot,
    *,
    lines: bool = False,
    ends: bool = True,
    quiet: bool = False,
) -> AbstractContextManager[object]:
    """Show progress during a `with` block: as a bar on a terminal, else as lines or not at all.

    Args:
        title: The name of the activity, in one word.
        take_snapshot: Returns the current progress.
        lines: Whether to write a line every two seconds where there is no terminal.
        ends: Whether the last of these lines shows the end, even if that comes sooner.
        quiet: Whether to show nothing at all.
    """
    if quiet:
        return nullcontext()
    if sys.stderr.isatty():
        return _Ticker(_Bar(title), take_snapshot, _BAR_SECONDS)
    if lines:
        return _Ticker(_Lines(title), take_snapshot, _LINE_SECONDS, ends=ends)
    return nullcontext()


class _Display(Protocol):
    def start(self) -> None: ...
    def show(self, snapshot: Snapshot) -> None: ...
    def stop(self) -> None: ...


class _Bar:
    """A bar with the percentage and the time left."""

    def __init__(self, title: str) -> None:
        # Imported here because it is slow to import and needed on a terminal only.
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            auto_refresh=False,
        )
        self._task = self._bar.add_task(title, total=None, text="")

    def start(self) -> None:
        self._bar.start()

    def show(self, snapshot: Snapshot) -> None:
        self._bar.update(
            self._task,
            completed=snapshot.done,
            total=snapshot.total,
            text=snapshot.text,
            refresh=True,
        )

    def stop(self) -> None:
        self._bar.stop()


class _Lines:
    """A line for each snapshot, with the seconds since the start."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._start = time.monotonic()

    def start(self) -> None:
        self._start = time.monotonic()

    def show(self, snapshot: Snapshot) -> None:
        seconds = time.monotonic() - self._start
        report(f"{self._title} {seconds:5.1f} s  {snapshot}")

    def stop(self) -> None:
        pass


class _Ticker:
    """Shows a snapshot at intervals during a block and, if `ends`, one at its end."""

    def __init__(
        self, display: _Display, take_snapshot: TakeSnapshot, seconds: float, *, ends: bool = True
    ) -> None:
        self._display = display
        self._ends = ends
        self._take_snapshot = take_snapshot
        self._interval = seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._display.start()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._thread.join()
        if self._ends:
            self._display.show(self._take_snapshot())
        self._display.stop()

    def _tick(self) -> None:
        while not self._stopped.wait(self._interval):
            self._display.show(self._take_snapshot())
