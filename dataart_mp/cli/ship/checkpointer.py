"""Updates the checkpoint during a shipment.

    main thread    ──emit──emit──emit──emit──emit──emit──emit──►
                       │ positions                       │
    checkpointer       └──flush …… settled ──write──wait──┘

Events that were emitted before `flush` was called are settled when it returns; the main thread
continues to emit meanwhile.
"""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from dataart_mp.cli.input.row import Position
from dataart_mp.cli.message import warn
from dataart_mp.cli.ship.checkpoint import Checkpoint
from dataart_mp.errors import ClosedError
from dataart_mp.protocol import DataArtClient

_INTERVAL_SECONDS: Final = 1.0

Positions = Mapping[str, Position]


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
    """

    def __init__(
        self,
        path: Path,
        base_url: str,
        client: DataArtClient,
        positions: Callable[[], Positions],
        *,
        keeps_failed: bool,
    ) -> None:
        self._path = path
        self._base_url = base_url
        self._client = client
        self._positions = positions
        self._keeps_failed = keeps_failed
        self._written: Positions = {}
        self._finished = threading.Event()
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)

    def start(self) -> None:
        """Write the initial positions, and start the thread.

        Raises:
            OSError: The file cannot be written.
        """
        self._write(self._positions())
        self._thread.start()

    def finish(self, *, settled: bool, complete: bool) -> bool:
        """Write the last checkpoint; call it after the client is closed.

        Args:
            settled: Whether no event is pending.
            complete: Whether all files have been read to their ends.

        Returns:
            Whether the checkpoint covers all emitted events.
        """
        with self._writing:
            self._finished.set()
            if not settled or self._has_lost_events():
                return False
            try:
                self._write(self._positions(), complete=complete)
            except OSError as error:
                self._warn(error)
                return False
            return True

    def _run(self) -> None:
        try:
            while not self._finished.wait(_INTERVAL_SECONDS):
                self._update()
        except ClosedError:
            pass  # finish() writes the last checkpoint
        except OSError as error:
            self._warn(error)

    def _update(self) -> None:
        positions = self._positions()
        if positions == self._written or self._client.flush() or self._has_lost_events():
            return
        with self._writing:
            if not self._finished.is_set():
                self._write(positions)

    def _has_lost_events(self) -> bool:
        stats = self._client.stats()
        return bool(stats.total_dropped or (stats.failed and not self._keeps_failed))

    def _write(self, positions: Positions, *, complete: bool = False) -> None:
        Checkpoint(self._base_url, positions, complete).write(self._path)
        self._written = positions

    def _warn(self, error: OSError) -> None:
        warn(f"{self._path}: {error.strerror}: the checkpoint is not updated")
