"""How far something has come, on standard error while it goes on.

The work counts and knows nothing of this; a thread looks at the counts now and then.
"""

import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from dataart_mp.cli.message import tell

_BAR_SECONDS: Final = 0.1
_LINE_SECONDS: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """How far it has come at one moment.

    Attributes:
        done: In any unit.
        total: In the same unit; None: not known.
        text: What else to say, on one line.
    """

    done: int
    total: int | None
    text: str

    def __str__(self) -> str:
        share = f"{self.done / self.total:4.0%}  " if self.total else ""
        return f"{share}{self.text}"


Look = Callable[[], Snapshot]
"""Called from another thread."""


def progress(title: str, look: Look, *, lines: bool = False) -> AbstractContextManager[object]:
    """Show progress during a block: as a bar on a terminal, otherwise as lines, or not at all.

    Args:
        title: What is going on, in a word.
        look: Tells how far it has come.
        lines: Whether to write a line now and then where there is no terminal.
    """
    if sys.stderr.isatty():
        return _Ticker(_Bar(title), look, _BAR_SECONDS)
    return _Ticker(_Lines(title), look, _LINE_SECONDS) if lines else nullcontext()


class _Display(Protocol):
    def start(self) -> None: ...
    def show(self, snapshot: Snapshot) -> None: ...
    def stop(self) -> None: ...


class _Bar:
    """A bar with the rate and the time left."""

    def __init__(self, title: str) -> None:
        # Not at the top: it takes longer to import than all else here, and is needed on a
        # terminal only.
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[text]}"),
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
    """A line for each look, with the seconds since the start."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._start = time.monotonic()

    def start(self) -> None:
        self._start = time.monotonic()

    def show(self, snapshot: Snapshot) -> None:
        seconds = time.monotonic() - self._start
        tell(f"{self._title} {seconds:5.1f} s  {snapshot}")

    def stop(self) -> None:
        pass


class _Ticker:
    """Shows a snapshot now and then during a block, and one at its end."""

    def __init__(self, display: _Display, look: Look, seconds: float) -> None:
        self._display = display
        self._look = look
        self._seconds = seconds
        self._over = threading.Event()
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
        self._over.set()
        self._thread.join()
        self._display.show(self._look())
        self._display.stop()

    def _tick(self) -> None:
        while not self._over.wait(self._seconds):
            self._display.show(self._look())
