"""Dead letters: events that failed permanently, kept in the spool for inspection and replay.

    <spool_dir>/dead/<Idempotency-Key of the batch>.jsonl      one letter per line:

    {"time":"2021-05-04T10:11:12+00:00","reason":"rejected","status":422,"answer":"no such user",
     "attempts":1,"kind":"action","event":{"key":"play","user_key":"u1",…}}

(It is one line in the file; `jq .event.user_key dead/*.jsonl` reads it.)

A file is written under another name and then renamed, so that it is complete when it appears and
workers can add files while other processes read and remove them. A worker writes the file before it
settles the batch. If it dies in between, the next worker abandons the same batch again and replaces
the file with the same content.
"""

import json
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from dataart_mp.errors import DataArtError, short_repr
from dataart_mp.queue import disk
from dataart_mp.spool.permissions import PRIVATE_DIRECTORY, PRIVATE_FILE

_FOLDER: Final = "dead"
_SUFFIX: Final = ".jsonl"
# A share of `max_bytes`: how much is written before the size of the folder is checked again, and
# how much room that check then makes.
_SHARE: Final = 1 / 16


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why and when a batch failed permanently.

    Attributes:
        time: When it failed.
        reason: As in `Failure`.
        status: HTTP status of the last response; None when there was none.
        answer: The first bytes of the response as text, or the text of the exception.
        attempts: The number of failed attempts, as in `Failure`.
        kind: The kind of its records.
    """

    time: datetime
    reason: str
    status: int | None
    answer: str
    attempts: int
    kind: Literal["action", "identity"]

    def head(self) -> bytes:
        """Return the start of a letter's line, up to its event."""
        fields = {**asdict(self), "time": self.time.isoformat(timespec="seconds")}
        return json.dumps(fields).encode()[:-1] + b', "event": '


class DamagedLettersError(DataArtError):
    """A file of dead letters is damaged; the message names file, line and remedy."""


class Letters:
    """The dead letters of one batch.

    Args:
        file: The path of their file.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def name(self) -> str:
        """The Idempotency-Key under which the batch was sent."""
        return self._file.name.removesuffix(_SUFFIX)

    @property
    def size(self) -> int:
        """The size in bytes; 0 when the file was removed."""
        try:
            return self._file.stat().st_size
        except FileNotFoundError:
            return 0

    @property
    def count(self) -> int:
        """The number of lines, damaged ones included; 0 when the file was removed."""
        return len(self._lines())

    def read(self) -> list[dict[str, Any]]:
        """Return the letters, each with the fields shown above; none when the file was removed.

        Raises:
            DamagedLettersError: A line is not a letter.
        """
        return [self._letter(number, line) for number, line in enumerate(self._lines(), start=1)]

    def remove(self) -> None:
        """Remove the file; another process may have removed it already."""
        self._file.unlink(missing_ok=True)

    def _letter(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            letter = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._damaged(number, f"is not JSON: {error}") from None
        if type(letter) is not dict or "event" not in letter:
            raise self._damaged(number, f"has no event: {short_repr(letter)}")
        return letter

    def _damaged(self, number: int, problem: str) -> DamagedLettersError:
        remedy = f"repair it, or remove the file: dataart-mp spool purge DIR {self.name}"
        return DamagedLettersError(f"{self._file}: line {number} {problem}; {remedy}")

    def _lines(self) -> list[bytes]:
        try:
            return self._file.read_bytes().splitlines()
        except FileNotFoundError:
            return []


class DeadLetters:
    """All dead letters of one spool.

    Args:
        spool_dir: The spool's directory. The folder in it is created with the first letter.
        max_bytes: How much to keep, approximately; then the oldest batches are removed.
        is_synced: Whether letters that were kept survive a power failure.
    """

    def __init__(
        self, spool_dir: Path, max_bytes: float = math.inf, *, is_synced: bool = False
    ) -> None:
        self._spool_dir = spool_dir
        self._folder = spool_dir / _FOLDER
        self._max_bytes = max_bytes
        self._is_synced = is_synced
        self._unchecked = math.inf  # bytes written since the size was checked

    def keep(self, name: str, records: bytes, cause: Cause) -> int:
        """Write the records of a batch as dead letters.

        Args:
            name: The batch's Idempotency-Key.
            records: JSON lines, as they were encoded.
            cause: Why the batch failed.

        Returns:
            The number of the oldest batches that were removed to make room.

        Raises:
            OSError: They cannot be written, for example because the disk is full.
        """
        self._folder.mkdir(PRIVATE_DIRECTORY, exist_ok=True)
        head = cause.head()
        # If this process dies now, the spool removes a file with such a name.
        unfinished = self._spool_dir / f"{os.getpid()}-{name}.new"
        fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
        try:
            with os.fdopen(fd, "wb") as file:
                file.writelines(head + record + b"}\n" for record in records.splitlines())
                if self._is_synced:
                    file.flush()
                    disk.sync_file(file.fileno())
            unfinished.rename(self._folder / f"{name}{_SUFFIX}")
            if self._is_synced:
                disk.sync_directory(self._folder)
                disk.sync_directory(self._spool_dir)  # the folder may be new
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        self._unchecked += len(records)
        return self._make_room() if self._unchecked > self._max_bytes * _SHARE else 0

    def _make_room(self) -> int:
        """Remove the oldest batches until there is room; several workers may do so at once."""
        self._unchecked = 0
        sizes = {letters: letters.size for letters in self}
        surplus = sum(sizes.values()) - self._max_bytes
        if surplus <= 0:
            return 0
        surplus += self._max_bytes * _SHARE
        removed = 0
        for letters, size in sizes.items():
            if surplus <= 0:
                break
            letters.remove()
            surplus -= size
            removed += 1
        return removed

    def __iter__(self) -> Iterator[Letters]:
        """Yield the letters of each batch, the oldest first."""
        files = [(_age(file), file) for file in self._folder.glob(f"*{_SUFFIX}")]
        return (Letters(file) for _, file in sorted(files))


def _age(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:  # removed in the meantime
        return 0
