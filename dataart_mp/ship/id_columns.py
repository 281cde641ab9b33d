"""The columns whose values decide about the id of an event."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from dataart_mp.table import column
from dataart_mp.table.text import join


class IdContents(NamedTuple):
    """What the ids of the rows of a record batch are digests of.

    Attributes:
        contents: One for each row; empty if the whole event decides.
        doubtful: The numbers of the rows that have none, because a value cannot be read.
    """

    contents: list[bytes]
    doubtful: Sequence[int]


class IdColumns:
    """The columns whose values decide about the id of an event.

    Args:
        names: The names of the columns; none: the whole event decides.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def contents_of(self, batch: Any) -> IdContents:
        """Return the values of each row, as a JSON array.

        Args:
            batch: A `pyarrow.RecordBatch`.
        """
        if not self._names:
            return IdContents([], ())
        found = [column.as_json(batch.column(name)) for name in self._names]
        parts = [part for one in found for part in (",", *one.parts)]
        texts = join(["[", *parts[1:], "]"], null="null").to_pylist()
        doubtful = column.numbers(one.doubtful for one in found)
        return IdContents([text.encode() for text in texts], doubtful)
