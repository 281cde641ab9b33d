"""Dead letters: events that failed permanently, kept in the spool for inspection and replay.

    <spool_dir>/dead/<Idempotency-Key of the batch>.jsonl      one letter per line:

    {"time":"2021-05-04T10:11:12+00:00","reason":"rejected","status":422,"answer":"no such user",
     "attempts":1,"kind":"action","event":{"key":"play","user_key":"u1",…}}

(It is one line in the file; `jq .event.user_key dead/*.jsonl` reads it.)

A file is written under another name and then renamed, so that it is complete when it appears and
workers can add files while other processes read and remove them. A worker writes the file before it
settles the batch. If it dies in between, the next worker abandons the same batch again and replaces
the file with the same content.

Other files in the directory are not touched, and do not count towards its size.
"""

import errno
import json
import math
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from dataart_mp.errors import DataArtError, short_repr
from dataart_mp.queue import disk
from dataart_mp.spool.permissions import PRIVATE_DIRECTORY, PRIVATE_FILE

_FOLDER: Final = "dead"
_SUFFIX: Final = ".jsonl"
# Idempotency-Keys have no other characters, and other names could not be printed safely.
_IS_NAME: Final = re.compile(r"[!-~]+\.jsonl").fullmatch
_BEGINNING: Final = b'{"time": "'
# A link may lead anywhere, and opening a pipe would wait for its other end.
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
# Far more than a batch takes.
_MOST_READ: Final = 1 << 30
_PRINTED: Final = ("time", "reason", "kind")
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
            return self._file.lstat().st_size
        except OSError:
            return 0

    @property
    def count(self) -> int:
        """The number of lines, damaged ones included; 0 when the file cannot be read."""
        try:
            return len(self._lines())
        except DamagedLettersError:
            return 0

    @property
    def begins_as_letters(self) -> bool:
        """Whether the file begins as this module writes it, and not as somebody else's file."""
        try:
            return self._content(len(_BEGINNING)) == _BEGINNING
        except OSError:
            return False

    def read(self) -> list[dict[str, Any]]:
        """Return the letters, each with the fields shown above; none when the file was removed.

        Raises:
            DamagedLettersError: The file cannot be read, or a line is not a letter.
        """
        return [self._letter(number, line) for number, line in enumerate(self._lines(), start=1)]

    def remove(self) -> None:
        """Remove the file; another process may have removed it already."""
        self._file.unlink(missing_ok=True)

    def _letter(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            letter = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._damaged(f"line {number} is not JSON: {error}") from None
        if type(letter) is not dict or "event" not in letter:
            raise self._damaged(f"line {number} has no event: {short_repr(letter)}")
        for field in _PRINTED:
            value = letter.get(field, "")
            if not (isinstance(value, str) and value.isprintable()):
                raise self._damaged(f"line {number}: {field}={short_repr(value)} must be text")
        return letter

    def _damaged(self, problem: str) -> DamagedLettersError:
        remedy = f"repair it, or remove the file: dataart-mp spool purge DIR {self.name}"
        return DamagedLettersError(f"{self._file}: {problem}; {remedy}")

    def _lines(self) -> list[bytes]:
        try:
            content = self._content(_MOST_READ + 1)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._damaged(f"cannot be read: {error.strerror}") from None
        if len(content) > _MOST_READ:
            raise self._damaged(f"is larger than {_MOST_READ:,} bytes")
        # Not `splitlines`: a record may hold other line breaks, as white space of its JSON.
        return content.removesuffix(b"\n").split(b"\n") if content else []

    def _content(self, size: int) -> bytes:
        """Return the first bytes of the file.

        Raises:
            OSError: It cannot be read, or is not a regular file.
        """
        fd = os.open(self._file, _OPEN)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
            with os.fdopen(fd, "rb", closefd=False) as file:
                return file.read(size)
        finally:
            os.close(fd)


class DeadLetters:
    """All dead letters of one spool.

    Args:
        spool_dir: The spool's directory. The folder in it is created with the first letter.
        max_bytes: How much to keep, approximately; then the oldest batches are removed.
        sync: Whether the letters of a batch also survive a power failure when `keep` has returned.
    """

    def __init__(self, spool_dir: Path, max_bytes: float = math.inf, *, sync: bool = False) -> None:
        self._spool_dir = spool_dir
        self._folder = spool_dir / _FOLDER
        self._max_bytes = max_bytes
        self._sync = sync
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
            OSError: They cannot be written, for example because the disk is full. No part of them
                is kept then.
        """
        self._folder.mkdir(PRIVATE_DIRECTORY, exist_ok=True)
        head = cause.head()
        lines = [head + record + b"}\n" for record in records.removesuffix(b"\n").split(b"\n")]
        # If this process dies now, the spool removes a file with such a name.
        unfinished = self._spool_dir / f"{os.getpid()}-{name}.new"
        try:
            self._write(unfinished, lines)
            unfinished.rename(self._folder / f"{name}{_SUFFIX}")
        except BaseException:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise
        if self._sync:
            disk.sync_directory(self._folder)
            disk.sync_directory(self._spool_dir)  # the folder may be new
        self._unchecked += sum(map(len, lines))
        return self._make_room() if self._unchecked > self._max_bytes * _SHARE else 0

    def _write(self, path: Path, lines: list[bytes]) -> None:
        path.unlink(missing_ok=True)  # left by a process that died and had the same id
        with os.fdopen(os.open(path, _CREATE, PRIVATE_FILE), "wb") as file:
            file.writelines(lines)
            if self._sync:
                file.flush()
                disk.sync_file(file.fileno())

    def _make_room(self) -> int:
        """Remove the oldest batches until there is room; several workers may do so at once.

        The letters that were just written are kept, so a problem here is not an error.
        """
        self._unchecked = 0
        sizes = {letters: letters.size for letters in self if letters.begins_as_letters}
        surplus = sum(sizes.values()) - self._max_bytes
        if surplus <= 0:
            return 0
        surplus += self._max_bytes * _SHARE
        removed = 0
        for letters, size in sizes.items():
            if surplus <= 0:
                break
            with suppress(OSError):
                letters.remove()
                surplus -= size
                removed += 1
        return removed

    def __iter__(self) -> Iterator[Letters]:
        """Yield the letters of each batch, the oldest first."""
        files = []
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                if not _IS_NAME(entry.name):
                    continue
                with suppress(OSError):  # removed in the meantime, for example
                    if entry.is_file(follow_symlinks=False):
                        age = entry.stat(follow_symlinks=False).st_mtime_ns
                        files.append((age, entry.name))
        return (Letters(self._folder / name) for _, name in sorted(files))
