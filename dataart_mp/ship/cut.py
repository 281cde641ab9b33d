"""Records are cut into the contents of requests.

Where they are cut depends on the records alone, not on the record batches that they came in: so
each attempt makes the same requests, however the engine divides the rows.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

Refuse = Callable[[int, int], None]
"""Called with the number of a row, and the bytes of its record, if that is too large."""


class Records(NamedTuple):
    """Records of rows that follow each other.

    Attributes:
        memory: What contains them, one after the other, each with its newline.
        ends: Where each of them begins, and where the last one ends, in bytes.
        row: The number of the first row in its part.
    """

    memory: memoryview | bytes
    ends: Sequence[int]
    row: int


class Cut(NamedTuple):
    """The content of a request.

    Attributes:
        content: Its records, as JSON Lines.
        number: How many they are.
    """

    content: bytes
    number: int


class Cutter:
    """Cuts records into contents of at most so many records and bytes.

    Args:
        most_records: Records in a request.
        most_bytes: Bytes of records in a request.
        refuse: Called with a record that is larger than that; it is left out.
    """

    def __init__(self, most_records: int, most_bytes: int, refuse: Refuse) -> None:
        self._most_records = most_records
        self._most_bytes = most_bytes
        self._refuse = refuse
        self._held: list[bytes] = []
        self._count = self._size = 0

    def add(self, records: Records) -> Iterator[Cut]:
        """Add records, and yield the contents that are full."""
        ends = records.ends
        at, last = 0, len(ends) - 1
        while at < last:
            most = min(last, at + self._most_records - self._count)
            room = ends[at] + self._most_bytes - self._size
            stop = bisect_right(ends, room, at, most + 1) - 1
            if stop > at:
                self._hold(bytes(records.memory[ends[at] : ends[stop]]), stop - at)
                at = stop
            elif self._held:
                yield from self.rest()
            else:
                self._refuse(records.row + at, ends[at + 1] - ends[at])
                at += 1
            if self._count == self._most_records:
                yield from self.rest()

    def rest(self) -> Iterator[Cut]:
        """Yield what is left."""
        if self._held:
            cut = Cut(b"".join(self._held), self._count)
            self._held, self._count, self._size = [], 0, 0
            yield cut

    def _hold(self, content: bytes, count: int) -> None:
        self._held.append(content)
        self._count += count
        self._size += len(content)
