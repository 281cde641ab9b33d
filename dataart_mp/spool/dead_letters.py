"""Dead letters: what was given up on, kept in the spool to be looked at and sent again.

    <spool_dir>/dead/<Idempotency-Key of the batch>.jsonl      one letter a line:

    {"time":"2021-05-04T10:11:12+00:00","reason":"rejected","status":422,"answer":"no such user",
     "attempts":1,"kind":"action","event":{"key":"play","user_key":"u1",…}}

(on one line; `jq .event.user_key dead/*.jsonl` reads them.) A file appears whole, for it is renamed
into its place: so nobody waits for anybody, workers add files while others read and remove them. It
is there before its batch's account is closed; should the worker die in between, the next one gives
the same batch up again, and the file is written again under the same name.
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
from dataart_mp.spool.permissions import PRIVATE_DIRECTORY, PRIVATE_FILE

_FOLDER: Final = "dead"
_SUFFIX: Final = ".jsonl"
# Of what may be kept: how much is written before the folder is looked through again, and how much
# room is then made at once.
_SHARE: Final = 1 / 16


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why, and when, a batch was given up on.

    Attributes:
        time: when.
        reason: as in `Failure`.
        status: HTTP status of the last answer; None when there was none.
        answer: its first bytes as text, or the text of the exception.
        attempts: how many tries have failed, as in `Failure`.
        kind: what its records are.
    """

    time: datetime
    reason: str
    status: int | None
    answer: str
    attempts: int
    kind: Literal["action", "identity"]

    def head(self) -> bytes:
        """The start of a letter's line, up to its event."""
        fields = {**asdict(self), "time": self.time.isoformat(timespec="seconds")}
        return json.dumps(fields).encode()[:-1] + b', "event": '


class DamagedLettersError(DataArtError):
    """A file of letters cannot be read; the message names file, line and remedy."""


class Letters:
    """The letters of one batch.

    Args:
        file: where they are.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def name(self) -> str:
        """The Idempotency-Key under which the batch was sent."""
        return self._file.name.removesuffix(_SUFFIX)

    @property
    def size(self) -> int:
        """Bytes; 0 when somebody has removed the file."""
        try:
            return self._file.stat().st_size
        except FileNotFoundError:
            return 0

    @property
    def count(self) -> int:
        """How many letters there are, whatever somebody has made of them."""
        return len(self._lines())

    def read(self) -> list[dict[str, Any]]:
        """Each letter as it is described above; none when somebody has removed the file.

        Raises:
            DamagedLettersError: they are not as they were written.
        """
        return [self._letter(number, line) for number, line in enumerate(self._lines(), start=1)]

    def remove(self) -> None:
        """Forget them; they may be gone already."""
        self._file.unlink(missing_ok=True)

    def _letter(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            letter = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._damaged(number, f"is not JSON: {error}") from None
        if type(letter) is not dict or "event" not in letter:
            raise self._damaged(number, f"holds no event: {short_repr(letter)}")
        return letter

    def _damaged(self, number: int, problem: str) -> DamagedLettersError:
        remedy = f"mend it, or remove it: dataart-mp spool purge DIR {self.name}"
        return DamagedLettersError(f"{self._file}: line {number} {problem}; {remedy}")

    def _lines(self) -> list[bytes]:
        try:
            return self._file.read_bytes().splitlines()
        except FileNotFoundError:
            return []


class DeadLetters:
    """All dead letters of one spool.

    Args:
        spool_dir: as configured; nothing is made in it before there is something to keep.
        max_bytes: how much is kept, about; then the oldest go.
    """

    def __init__(self, spool_dir: Path, max_bytes: float = math.inf) -> None:
        self._spool_dir = spool_dir
        self._folder = spool_dir / _FOLDER
        self._max_bytes = max_bytes
        self._unchecked = math.inf  # bytes written since the folder was looked through

    def keep(self, name: str, records: bytes, cause: Cause) -> int:
        """Keep the records of a batch.

        Args:
            name: its Idempotency-Key.
            records: JSON lines, as they were encoded.
            cause: why.

        Returns:
            How many of the oldest batches had to go, to make room.

        Raises:
            OSError: they cannot be written, for want of room perhaps.
        """
        self._folder.mkdir(PRIVATE_DIRECTORY, exist_ok=True)
        head = cause.head()
        # By this name the spool removes it, should this process die now.
        unfinished = self._spool_dir / f"{os.getpid()}-{name}.new"
        fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
        try:
            with os.fdopen(fd, "wb") as file:
                file.writelines(head + record + b"}\n" for record in records.splitlines())
            unfinished.rename(self._folder / f"{name}{_SUFFIX}")
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        self._unchecked += len(records)
        return self._make_room() if self._unchecked > self._max_bytes * _SHARE else 0

    def _make_room(self) -> int:
        """Let the oldest go until there is some room again; several workers may be at it."""
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
        """Those of each batch, the oldest first."""
        files = [(_age(file), file) for file in self._folder.glob(f"*{_SUFFIX}")]
        return (Letters(file) for _, file in sorted(files))


def _age(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:  # just removed
        return 0
