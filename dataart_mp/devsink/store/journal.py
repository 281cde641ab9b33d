r"""A file of accepted requests, from which a restarted sink restores its counts.

One line per request, written before its response is sent:

    {"time": …, "path": "/events/send-actions", "kind": "actions", "size": …, "status": 200,
     "idempotency_key": …, "items": [ACTION, …]}\n

A last line without a newline belongs to a request without a response, and is removed. Nothing is
synced: the journal must survive the end of the process, not of the machine.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import orjson

from dataart_mp.devsink.protocol.exact_json import loads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dataart_mp.devsink.counters.logged_request import LoggedRequest
    from dataart_mp.devsink.protocol.payload import Payload


_BEGINNING: Final = b'{"time":'
_FIELDS: Final = {"time", "path", "size", "status", "kind", "idempotency_key", "items"}


class Journal:
    """An append-only file of accepted requests."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab")

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the entries, oldest first; an incomplete last line is removed from the file.

        Raises:
            ValueError: The file is not a journal.
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

    def append(self, logged: LoggedRequest, payload: Payload, status: int | None) -> None:
        """Write a request that is about to be accepted."""
        about = {
            "time": logged.time,
            "path": logged.path,
            "size": logged.size,
            "status": status,
            "kind": payload.kind,
            "idempotency_key": payload.idempotency_key,
        }
        # The items are already JSON.
        head = orjson.dumps(about)[:-1]
        self._file.write(b'%b,"items":[%b]}\n' % (head, b",".join(payload.encoded)))
        self._file.flush()

    def clear(self) -> None:
        """Delete all entries."""
        self._file.truncate(0)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _entry(self, line: bytes, number: int) -> dict[str, Any] | None:
        """Return the entry of a line; None: the line is incomplete."""
        # Also checked for an incomplete line: another program's file must not be truncated.
        if line[: len(_BEGINNING)] == _BEGINNING[: len(line)]:
            if not line.endswith(b"\n"):
                return None
            with contextlib.suppress(orjson.JSONDecodeError):
                entry: dict[str, Any] = loads(line)
                if entry.keys() == _FIELDS:
                    return entry
        raise ValueError(
            f"journal: {self._path}, line {number}: is not a line of a journal; use another file"
        )
