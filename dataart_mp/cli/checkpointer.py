"""Keeps a checkpoint up to date while a shipment is under way.

    main thread    ──emit──emit──emit──emit──emit──emit──emit──►
                       │ how far?                        │
    checkpointer       └──flush …… settled ──write──wait──┘

What was emitted before `flush` was called is settled when it returns; emitting goes on meanwhile.
"""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from dataart_mp.cli.checkpoint import Checkpoint
from dataart_mp.cli.message import warn
from dataart_mp.cli.row import Position
from dataart_mp.errors import ClosedError
from dataart_mp.protocol import DataArtClient

_SECONDS: Final = 1.0

Positions = Mapping[str, Position]


class Checkpointer:
    """Writes, every second, up to where all is settled.

    Args:
        path: The checkpoint's file.
        base_url: The platform.
        client: Where the events go.
        positions: Tells up to where events have been emitted, by absolute path; called from
            another thread.
        keeps_failed: Whether the client keeps what it gives up on, in a spool. Without one, a
            checkpoint stays before it, for another run to send it again.
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
        self._over = threading.Event()
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)

    def start(self) -> None:
        """Begin, with where it has come so far.

        Raises:
            OSError: The file cannot be written.
        """
        self._write(self._positions())
        self._thread.start()

    def finish(self, *, settled: bool, complete: bool) -> bool:
        """Write the last one, after the client was closed.

        Args:
            settled: Whether nothing is pending.
            complete: Whether all files were read to their ends.

        Returns:
            Whether all that was emitted stands in it.
        """
        with self._writing:
            self._over.set()
            if not settled or self._has_lost():
                return False
            try:
                self._write(self._positions(), complete=complete)
            except OSError as error:
                self._tell(error)
                return False
            return True

    def _run(self) -> None:
        try:
            while not self._over.wait(_SECONDS):
                self._settle()
        except ClosedError:
            pass  # finish() has the last word
        except OSError as error:
            self._tell(error)

    def _settle(self) -> None:
        positions = self._positions()
        if positions == self._written or self._client.flush() or self._has_lost():
            return
        with self._writing:
            if not self._over.is_set():
                self._write(positions)

    def _has_lost(self) -> bool:
        stats = self._client.stats()
        return bool(stats.total_dropped or (stats.failed and not self._keeps_failed))

    def _write(self, positions: Positions, *, complete: bool = False) -> None:
        Checkpoint(self._base_url, positions, complete).write(self._path)
        self._written = positions

    def _tell(self, error: OSError) -> None:
        warn(f"{self._path}: {error.strerror}: the checkpoint stays where it was")
