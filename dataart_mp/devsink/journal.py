r"""The accepted requests on disk, so that counts outlive the sink.

One line a request, written before its answer is sent:

    {"time": …, "path": "/events/send-actions", "kind": "actions", "size": …, "status": 200,
     "idempotency_key": …, "items": [ACTION, …]}\n

A last line without its newline was never answered, and is cut off. Nothing is synced: the journal
is to outlive the process, not the machine.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dataart_mp.devsink.parcel import Parcel
    from dataart_mp.devsink.visit import Visit


_BEGINNING: Final = b'{"time":'
_FIELDS: Final = {"time", "path", "size", "status", "kind", "idempotency_key", "items"}


class Journal:
    """An append-only file of accepted requests."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab")

    def entries(self) -> Iterator[dict[str, Any]]:
        """What is in the file, oldest first; a torn last line is cut off.

        Raises:
            ValueError: It is not a journal.
        """
        whole = 0
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                entry = self._entry(line, number)
                if entry is None:
                    break
                whole += len(line)
                yield entry
        self._file.truncate(whole)

    def append(self, visit: Visit, parcel: Parcel, status: int | None) -> None:
        """Write down a request that is about to be accepted."""
        about = {
            "time": visit.time,
            "path": visit.path,
            "size": visit.size,
            "status": status,
            "kind": parcel.kind,
            "idempotency_key": parcel.idempotency_key,
        }
        # The items are JSON already.
        head = orjson.dumps(about)[:-1]
        self._file.write(b'%b,"items":[%b]}\n' % (head, b",".join(parcel.encoded)))
        self._file.flush()

    def clear(self) -> None:
        """Forget everything."""
        self._file.truncate(0)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _entry(self, line: bytes, number: int) -> dict[str, Any] | None:
        """What a line says; None: it is torn."""
        # Checked of a torn line, too: the file may be somebody's letter, and is not to be cut.
        if line[: len(_BEGINNING)] == _BEGINNING[: len(line)]:
            if not line.endswith(b"\n"):
                return None
            with contextlib.suppress(orjson.JSONDecodeError):
                entry: dict[str, Any] = orjson.loads(line)
                if entry.keys() == _FIELDS:
                    return entry
        raise ValueError(
            f"journal: {self._path}, line {number}: is not a journal's; name another file"
        )
