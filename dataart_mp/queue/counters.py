"""The counters that belong to no frame: requests, retries, bytes, drops, throttled requests.

Each thread that counts has a separate row in the arena and is the only one that writes to it, so
no lock is needed and no count is lost between processes. When its owner has gone, the next thread
that needs a row continues it.
"""

from typing import Final

from dataart_mp.queue.account import WORD_MASK
from dataart_mp.queue.arena import ROW_COUNT, ROW_WORDS, Arena
from dataart_mp.queue.locks import ROWS

_USED: Final = 0
REQUESTS, RETRIES, BYTES, DROPPED_FULL, THROTTLED = range(1, 6)
"""The columns of a row."""

DROPS: Final = (DROPPED_FULL,)
"""The columns that count dropped records, one for each reason."""


class Counters:
    """Counts up, from any thread of any process that holds the arena."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._rows: list[int] = []
        self._bases: dict[int, list[int]] = {}  # of each row that this process has claimed

    def add(self, column: int, amount: int = 1) -> None:
        """Count `amount` more in `column`. Never waits."""
        # Between pop and append the row belongs to this thread alone, as a writer does in
        # `ProducerEnd.append`.
        try:
            row = self._rows.pop()
        except IndexError:
            row = self._claim()
        words = self._arena.words
        # Masked: the word may be damaged, in a file.
        words[row + column] = words[row + column] + amount & WORD_MASK
        self._rows.append(row)

    def add_request(self, size: int, *, is_retry: bool) -> None:
        """Count a request. Never waits.

        Args:
            size: The size of its body in bytes.
            is_retry: Whether it repeats an earlier one.
        """
        try:
            row = self._rows.pop()
        except IndexError:
            row = self._claim()
        words = self._arena.words
        words[row + REQUESTS] = words[row + REQUESTS] + 1 & WORD_MASK
        words[row + BYTES] = words[row + BYTES] + size & WORD_MASK
        if is_retry:
            words[row + RETRIES] = words[row + RETRIES] + 1 & WORD_MASK
        self._rows.append(row)

    def total(self, column: int) -> int:
        """Return what all threads of all processes, dead ones included, have counted."""
        words = self._arena.words
        total = 0
        for number in range(ROW_COUNT):
            row = self._arena.row(number)
            if not words[row + _USED]:
                break  # rows are taken lowest first
            total += words[row + column]
        return total

    def of_this_process(self, column: int) -> int:
        """Return what the threads of this process have counted."""
        words = self._arena.words
        rows = self._bases.copy().items()
        return sum(words[row + column] - base[column] & WORD_MASK for row, base in rows)

    def forget(self) -> None:
        """Forget the rows of this process: in a forked child they are the parent's."""
        self._rows = []
        self._bases = {}

    def _claim(self) -> int:
        for number in range(ROW_COUNT):
            row = self._arena.row(number)
            # Stored before the row is taken, and for rows that others are about to take: `total`
            # must see no gap below a row that counts.
            self._arena.words[row + _USED] = 1
            if self._arena.locks.acquire(ROWS + number):
                self._bases[row] = self._arena.words[row : row + ROW_WORDS].tolist()
                return row
        raise RuntimeError(f"more than {ROW_COUNT} threads count events at once; emit from fewer")
