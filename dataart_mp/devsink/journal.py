r"""The accepted requests on disk, so that counts outlive the sink.

One line a request, written before its answer is sent:

    {"time": …, "path": "/events/send-actions", "kind": "actions", "size": …, "status": 200,
     "idempotency_key": …, "items": [ACTION, …]}\n

A last line without its newline was never answered, and is cut off. Nothing is synced: the journal
is to outlive the process, not the machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dataart_mp.devsink.parcel import Parcel
    from dataart_mp.devsink.visit import Visit


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
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                try:
                    yield orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise ValueError(
                        f"journal: {self._path}, line {number}: {error}; name another file"
                    ) from None
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
