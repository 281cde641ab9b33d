"""The newest items, for who asks to see them."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Shelf:
    """Keeps so many items, and gives them back newest first.

    One bytes object a request, its items divided by newlines, which JSON written by orjson never
    has: a tenth of the memory of 100,000 small objects that all began as a buffer of one KiB.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._rows: deque[tuple[int, bytes]] = deque()
        self._size = 0

    def __len__(self) -> int:
        return min(self._size, self._capacity)

    def __iter__(self) -> Iterator[bytes]:
        newest_first = (
            item for _, row in reversed(self._rows) for item in reversed(row.split(b"\n"))
        )
        return islice(newest_first, self._capacity)

    def add(self, encoded: list[bytes]) -> None:
        """Put the items of one request on it; the oldest fall off."""
        self._rows.append((len(encoded), b"\n".join(encoded)))
        self._size += len(encoded)
        # Whole requests fall off: never so many that fewer items than the capacity remain.
        while self._size - self._rows[0][0] >= self._capacity:
            self._size -= self._rows.popleft()[0]
