"""What a spool holds beside arenas: parked batches and dead letters, read without a change."""

import contextlib
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from dataart_mp.spool.dead_letters import DeadLetters
from dataart_mp.spool.parked_batch import DATABASE_NAME

_TIMEOUT_SECONDS: Final = 1.0
_QUERY: Final = "SELECT count(*), sum(count), sum(length(records)), min(since) FROM parked"


@dataclass(frozen=True, kw_only=True)
class SpoolLook:
    """What a spool holds at one moment, beside arenas.

    Attributes:
        directory: The spool.
        parked: Parked events.
        parked_requests: The requests in which they will be sent.
        parked_bytes: Their size.
        parked_since: When the oldest was parked.
        letters: Requests whose events failed permanently, and are kept as dead letters.
        error: Why the parked batches cannot be read; None if they can.
    """

    directory: Path
    parked: int = 0
    parked_requests: int = 0
    parked_bytes: int = 0
    parked_since: datetime | None = None
    letters: int = 0
    error: str | None = None

    @property
    def is_ok(self) -> bool:
        """Whether nothing is parked, as far as that is known."""
        return not self.parked and self.error is None

    def as_json(self) -> dict[str, Any]:
        """Return all of it as plain JSON data."""
        since = self.parked_since
        return {
            "directory": str(self.directory),
            "parked": self.parked,
            "parked_requests": self.parked_requests,
            "parked_bytes": self.parked_bytes,
            "parked_since": since and since.isoformat(timespec="seconds"),
            "dead_letter_requests": self.letters,
            "error": self.error,
        }


def look(directory: Path) -> SpoolLook:
    """Return what a spool holds, also while its clients are running.

    Args:
        directory: The spool.
    """
    letters = sum(1 for _ in DeadLetters(directory))
    file = directory / DATABASE_NAME
    if not file.exists():
        return SpoolLook(directory=directory, letters=letters)
    try:
        with contextlib.closing(_connect(file)) as database:
            requests, parked, size, since = database.execute(_QUERY).fetchone()
    except sqlite3.Error as error:
        problem = f"parked batches cannot be read: {error}"
        return SpoolLook(directory=directory, letters=letters, error=problem)
    return SpoolLook(
        directory=directory,
        parked=parked or 0,
        parked_requests=requests,
        parked_bytes=size or 0,
        parked_since=datetime.fromtimestamp(since / 1e9, UTC) if since else None,
        letters=letters,
    )


def _connect(file: Path) -> sqlite3.Connection:
    """Open the file for reading only: it is neither created nor repaired."""
    return sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=_TIMEOUT_SECONDS)
