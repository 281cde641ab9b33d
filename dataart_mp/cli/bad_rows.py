"""Where rows go that are no events: to standard error, and to a file of their own.

    {"file": "events.csv", "line": 17, "reason": "user_key: is missing: …", "row": {…}}
    {"file": null, "line": null, "reason": "rejected, status 422: …", "row": {…}}

The second is an event that the platform has refused, as it stood in the request.
"""

import json
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from dataart_mp.cli.message import tell
from dataart_mp.cli.row import Row
from dataart_mp.errors import DataArtError, EventError
from dataart_mp.failure import Failure

_TOLD: Final = 10
"""So many are told on standard error, if all are in a file."""


class BadRows:
    """Tells of bad rows; a context manager.

    Args:
        path: The file; None: they are only told.
        append: Whether what the file holds is kept.

    Raises:
        DataArtError: The file cannot be written.
    """

    def __init__(self, path: Path | None, *, append: bool = False) -> None:
        self._path = path
        self._told = 0
        self._file: IO[str] | None = None
        if path is not None:
            try:
                # By the line: when a checkpoint passes a row, it must be there.
                self._file = path.open("a" if append else "w", buffering=1, encoding="utf-8")
            except OSError as error:
                raise DataArtError(f"--bad-rows: {path}: {error.strerror}") from None

    def add(self, row: Row, error: EventError) -> None:
        """Note a row that is no event."""
        self._tell(f"{row.place}: {error}")
        self._write(row.file, row.number, str(error), _shown(row))

    def add_failure(self, failure: Failure) -> None:
        """Note the events that the platform has refused; of others, that is no fault."""
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

    def _tell(self, text: str) -> None:
        self._told += 1
        if self._path is None or self._told <= _TOLD:
            tell(text)
        elif self._told == _TOLD + 1:
            tell(f"… the others are in {self._path} only")

    def _write(self, file: str | None, line: int | None, reason: str, row: Any) -> None:
        if self._file is None or self._file.closed:
            return
        told = {"file": file, "line": line, "reason": reason, "row": row}
        try:
            self._file.write(json.dumps(told, default=str) + "\n")
        except OSError as error:
            raise DataArtError(f"--bad-rows: {self._path}: {error.strerror}") from None


def _shown(row: Row) -> Any:
    match row.content:
        case bytes() as line:
            return line.decode(errors="replace").rstrip("\r\n")
        case dict() as fields:
            return fields
        case _:
            return None
