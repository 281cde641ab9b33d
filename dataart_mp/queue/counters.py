"""The counters that belong to no frame: requests, retries, bytes, drops, throttled requests.

Each thread that counts has a separate row in the arena and is the only one that writes to it, so
no lock is needed and no count is lost between processes. When its owner has gone, the next thread
that needs a row continues it.

The first rows, which are taken from the lowest number up, are those of `Counters(arena)`. The last
ones, taken from the highest number down, count what hooks drop: they have other columns, and older
releases neither read nor write them.
"""

from typing import Final

from dataart_mp.queue.account import WORD_MASK
from dataart_mp.queue.arena import ROW_COUNT, ROW_WORDS, Arena
from dataart_mp.queue.locks import ROWS

_USED: Final = 0
REQUESTS, RETRIES, BYTES, DROPPED_FULL, THROTTLED = range(1, 6)
"""The columns of a row."""

SAMPLED, HOOK_DROPPED, HOOK_RAISED = range(1, 4)
"""The columns of a row of `HOOK_ROWS`: see `HOOK_REASONS`."""

HOOK_REASONS: Final = {
    SAMPLED: "sampled",
    HOOK_DROPPED: "before_send",
    HOOK_RAISED: "before_send raised",
}
"""The reasons in `Stats.dropped`, by column of a row of `HOOK_ROWS`."""

_HOOK_ROW_COUNT: Final = 512
ROWS_OF_QUEUE: Final = range(ROW_COUNT - _HOOK_ROW_COUNT)
HOOK_ROWS: Final = range(ROW_COUNT - 1, ROW_COUNT - 1 - _HOOK_ROW_COUNT, -1)
"""Numbers of the rows for what hooks drop, in the order in which they are taken."""
DROPS: Final = (DROPPED_FULL,)
"""The columns of a row of `Counters(arena)` that count dropped records."""


class Counters:
    """Counts up, from any thread of any process that holds the arena.

    Args:
        arena: Where the rows are.
        numbers: The numbers of the rows, in the order in which they are taken.
    """

    def __init__(self, arena: Arena, numbers: range = ROWS_OF_QUEUE) -> None:
        self._arena = arena
        self._numbers = numbers
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
        for number in self._numbers:
            row = self._arena.row(number)
            if not words[row + _USED]:
                break  # rows are taken in order
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
        for number in self._numbers:
            row = self._arena.row(number)
            # Stored before the row is taken, and for rows that others are about to take: `total`
            # must see no gap below a row that counts.
            self._arena.words[row + _USED] = 1
            if self._arena.locks.acquire(ROWS + number):
                self._bases[row] = self._arena.words[row : row + ROW_WORDS].tolist()
                return row
        most = len(self._numbers)
        raise RuntimeError(f"more than {most} threads count events at once; emit from fewer")
