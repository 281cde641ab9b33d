"""Reports of bad rows, on standard error and in a file.

    {"file": "events.csv", "line": 17, "reason": "user_key: is missing: …", "row": {…}}
    {"file": null, "line": null, "reason": "rejected, status 422: …", "row": {…}}

The second line is an event that the platform rejected, as it was in the request.
"""

import json
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from dataart_mp.cli.input.row import Row
from dataart_mp.cli.message import report
from dataart_mp.cli.ship.private_file import open_for_lines
from dataart_mp.errors import DataArtError, EventError
from dataart_mp.failure import Failure

_MAX_MESSAGES: Final = 10
"""Number of bad rows that are shown on standard error when a file contains them all."""


class BadRows:
    """Reports bad rows; a context manager.

    Args:
        path: The file for all bad rows; None: standard error only.
        append: Whether existing content of the file is kept.
    """

    def __init__(self, path: Path | None, *, append: bool = False) -> None:
        self._path = path
        self._append = append
        self._messages = 0
        self._file: IO[str] | None = None
        self._opening = threading.Lock()

    def open(self) -> None:
        """Create or replace the file when the run starts, unless it is open; any thread may.

        Raises:
            DataArtError: The file cannot be written.
        """
        with self._opening:
            if self._path is None or self._file is not None:
                return
            try:
                # Line-buffered: a bad row must be written before a checkpoint passes it.
                self._file = open_for_lines(self._path, append=self._append)
            except OSError as error:
                raise self._error(error) from None

    def add(self, row: Row, error: EventError) -> None:
        """Report a row that is not an event."""
        self._report(f"{row.place}: {error}")
        self._write(row.file, row.number, str(error), _as_json(row))

    def add_failure(self, failure: Failure) -> None:
        """Write rejected events to the file; other failures are not the fault of a row."""
        if failure.reason != "rejected":
            return
        for event in failure.records:
            answer = f": {failure.answer}" if failure.answer else ""
            self._write(None, None, f"rejected, status {failure.status}{answer}", event)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def _report(self, text: str) -> None:
        self._messages += 1
        if self._path is None or self._messages <= _MAX_MESSAGES:
            report(text)
        elif self._messages == _MAX_MESSAGES + 1:
            report(f"… more bad rows are in {self._path}")

    def _write(self, file: str | None, line: int | None, reason: str, row: Any) -> None:
        self.open()
        if self._file is None or self._file.closed:
            return
        entry = {"file": file, "line": line, "reason": reason, "row": row}
        try:
            self._file.write(json.dumps(entry, default=str) + "\n")
        except OSError as error:
            raise self._error(error) from None

    def _error(self, error: OSError) -> DataArtError:
        return DataArtError(f"--bad-rows: {self._path}: {error.strerror or error}")


def _as_json(row: Row) -> Any:
    match row.content:
        case bytes() as line:
            return line.decode(errors="replace").rstrip("\r\n")
        case dict() as fields:
            return fields
        case _:
            return None
