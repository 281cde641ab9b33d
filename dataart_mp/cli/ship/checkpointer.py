"""Updates the checkpoint during a shipment.

    main thread    ──emit──emit──emit──emit──emit──emit──emit──emit──►
                       │              │              │
    checkpointer       └ mark 1       ├ mark 2       ├ mark 3
                                      └ settled? 1   └ settled? 1, 2 ─► write the positions of 2

Once a second, the thread notes the positions and makes a mark, which covers all events before them.
It writes the positions of the latest mark whose events are all settled. Nothing waits for that, and
nothing is sent earlier because of it.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from dataart_mp.cli.input.row import Position
from dataart_mp.cli.message import warn
from dataart_mp.cli.ship.checkpoint import Checkpoint
from dataart_mp.errors import ClosedError
from dataart_mp.protocol import DeliveryMark
from dataart_mp.stats import Stats

_INTERVAL_SECONDS: Final = 1.0
_MAX_MARKS: Final = 128

Positions = Mapping[str, Position]


class MarkingClient(Protocol):
    """What the checkpointer uses of a client."""

    def mark(self) -> DeliveryMark:
        """Return a mark; see `Client.mark`."""
        ...

    def stats(self) -> Stats:
        """Return the counters."""
        ...


class _Waypoint(NamedTuple):
    """Positions, and a mark that covers all events before them."""

    positions: Positions
    mark: DeliveryMark


class Checkpointer:
    """Writes every second the positions up to which all events are settled.

    Args:
        path: The checkpoint's file.
        base_url: The URL of the platform.
        client: The client that ships the events.
        positions: Returns the positions up to which events have been emitted, by absolute path;
            called from another thread.
        keeps_failed: Whether the client keeps failed events in a spool. If not, the checkpoint
            stays before the first failed event, so that another run sends it again.
        interval: Seconds between two marks, and between two looks at them.
    """

    def __init__(
        self,
        path: Path,
        base_url: str,
        client: MarkingClient,
        positions: Callable[[], Positions],
        *,
        keeps_failed: bool,
        interval: float = _INTERVAL_SECONDS,
    ) -> None:
        self._path = path
        self._base_url = base_url
        self._client = client
        self._positions = positions
        self._keeps_failed = keeps_failed
        self._interval = interval
        self._noted: Positions = {}
        self._waypoints: deque[_Waypoint] = deque()
        self._last: DeliveryMark | None = None
        self._finished = threading.Event()
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)

    def start(self) -> None:
        """Write the initial positions, and start the thread.

        Raises:
            OSError: The file cannot be written.
        """
        self._noted = self._positions()
        self._write(self._noted)
        self._thread.start()

    def all_emitted(self) -> None:
        """Make the last mark; call it after the last event, and before the client is closed."""
        # ClosedError: Ctrl-C has interrupted `close`; the mark from before covers all events.
        with contextlib.suppress(ClosedError):
            self._last = self._client.mark()

    def finish(self, *, complete: bool) -> bool:
        """Write the last checkpoint; call it after the client is closed.

        Args:
            complete: Whether all files have been read to their ends.

        Returns:
            Whether the checkpoint covers all emitted events.
        """
        with self._writing:
            self._finished.set()
            try:
                if self._last is None or not self._is_settled(self._last):
                    self._save()
                    return False
                self._write(self._positions(), complete=complete)
            except OSError as error:
                self._warn(error)
                return False
            return True

    def _run(self) -> None:
        try:
            while not self._finished.wait(self._interval):
                with self._writing:
                    if not self._finished.is_set():
                        self._save()
                        self._note()
        except ClosedError:
            pass  # finish() writes the last checkpoint
        except OSError as error:
            self._warn(error)

    def _note(self) -> None:
        """Make a mark for the present positions."""
        positions = self._positions()  # before the mark, which so covers all events up to them
        if positions == self._noted:
            return
        waypoint = _Waypoint(positions, self._client.mark())
        if len(self._waypoints) == _MAX_MARKS:  # in a long outage, later ones stand for earlier
            self._waypoints.pop()
        self._waypoints.append(waypoint)
        self._noted = positions

    def _save(self) -> None:
        """Write the positions of the latest mark whose events are all settled."""
        settled = None
        while self._waypoints and self._is_settled(self._waypoints[0].mark):
            settled = self._waypoints.popleft()
        if settled is not None:
            self._write(settled.positions)

    def _is_settled(self, mark: DeliveryMark) -> bool:
        """Whether no event before a mark has to be sent by another run."""
        if mark.wait(0):  # it also seals a frame that only such events keep open
            return False
        if self._keeps_failed:
            return True
        outcome = mark.outcome()
        failed = outcome.failed if outcome.is_exact else self._client.stats().failed
        return not failed

    def _write(self, positions: Positions, *, complete: bool = False) -> None:
        Checkpoint(self._base_url, positions, complete).write(self._path)

    def _warn(self, error: OSError) -> None:
        warn(f"{self._path}: {error.strerror}: the checkpoint is not updated")
