"""The counters: the counters that belong to no frame.

One row a thread that counts, and only its owner writes to it, so nothing is lost between processes
without any lock on the way. A row outlives its owner: the next one goes on where it stopped.
"""

from typing import Final

from dataart_mp.queue.arena import ROW_COUNT, Arena
from dataart_mp.queue.locks import ROWS

USED, REQUESTS, RETRIES, BYTES, DROPPED_FULL, DROPPED_CLOSED = range(6)
COLUMNS: Final = range(REQUESTS, DROPPED_CLOSED + 1)


class Counters:
    """Counts up, from any thread of any process that holds the arena."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._rows: list[int] = []

    def add(self, column: int, amount: int = 1) -> None:
        """Count `amount` more in `column`. Never waits."""
        # A row is nobody else's between pop and append, as a writer is in `RecordQueue.put`.
        try:
            row = self._rows.pop()
        except IndexError:
            row = self._claim()
        self._arena.words[row + column] += amount
        self._rows.append(row)

    def total(self, column: int) -> int:
        """What all threads of all processes, dead ones too, have counted in `column`."""
        words = self._arena.words
        total = 0
        for number in range(ROW_COUNT):
            row = self._arena.row(number)
            if not words[row + USED]:
                break  # rows are taken lowest first
            total += words[row + column]
        return total

    def forget(self) -> None:
        """In a forked child: the rows are the parent's."""
        self._rows = []

    def _claim(self) -> int:
        for number in range(ROW_COUNT):
            row = self._arena.row(number)
            # Said before it is taken, and of rows that others are about to take: `total` must
            # see no gap below a row that counts.
            self._arena.words[row + USED] = 1
            if self._arena.locks.acquire(ROWS + number):
                return row
        raise RuntimeError(f"more than {ROW_COUNT} threads count events at once; emit from fewer")
