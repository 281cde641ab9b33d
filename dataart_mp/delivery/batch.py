"""A batch: the records that cross the network together."""

from dataclasses import dataclass
from typing import Literal

import orjson

from dataart_mp.transport.envelope import body_of, path_of


@dataclass(slots=True)  # not frozen: that would double the time to make one
class Batch:
    """What one request carries: all records of a whole, or a part of them.

    The whole is a frame of the queue, or what was cut from a table.

    Attributes:
        key: The Idempotency-Key; the same whenever the same content is sent.
        is_identity: Whether it holds one identity, or else actions.
        start: Where the content begins in its whole, in bytes.
        content: The records, as JSON Lines.
        whole_key: The key of the batch that it is a part of; empty if it is not a part.
        known_count: The number of records, if its maker knows it; 0: they are counted.
    """

    key: str
    is_identity: bool
    start: int
    content: bytes
    whole_key: str = ""
    known_count: int = 0

    @property
    def end(self) -> int:
        """Where the content ends in its whole, in bytes."""
        return self.start + len(self.content)

    @property
    def size(self) -> int:
        """The size of the records in bytes."""
        return len(self.content)

    @property
    def count(self) -> int:
        """The number of records."""
        return self.known_count or self.content.count(b"\n")

    @property
    def is_divisible(self) -> bool:
        """Whether it has two records or more; this looks at the first record only."""
        return self.content.find(b"\n") < len(self.content) - 1

    @property
    def kind(self) -> Literal["action", "identity"]:
        """What the records are."""
        return "identity" if self.is_identity else "action"

    @property
    def path(self) -> str:
        """The endpoint that accepts it, relative to the base URL."""
        return path_of(self.is_identity)

    @property
    def last_timestamp(self) -> bytes:
        """The time of the last action."""
        last = self.content[self.content.rfind(b"\n", 0, -1) + 1 :]
        timestamp: str = orjson.loads(last)["timestamp"]
        return timestamp.encode()

    def body(self, timestamp: bytes) -> bytes:
        """Return the body of the request.

        Args:
            timestamp: The moment of sending, in ISO 8601 with its UTC offset.
        """
        return body_of(self.content, timestamp, is_identity=self.is_identity)

    def halves(self) -> tuple["Batch", "Batch"]:
        """Split a batch of two or more records into two with about as many records each."""
        cut = 0
        for _ in range(self.count // 2):
            cut = self.content.index(b"\n", cut) + 1
        return self._part(0, cut), self._part(cut, len(self.content))

    def _part(self, start: int, end: int) -> "Batch":
        whole_key = self.whole_key or self.key
        return section_of(whole_key, self.is_identity, self.start + start, self.content[start:end])


def section_of(whole_key: str, is_identity: bool, start: int, content: bytes) -> Batch:
    """Return a batch with a part of the records of a whole; its key names the part.

    Args:
        whole_key: The key of all records of the whole.
        is_identity: Whether they are one identity, or else actions.
        start: Where the content begins in the whole, in bytes.
        content: The records, as JSON Lines.
    """
    key = f"{whole_key}+{start}-{start + len(content)}"
    return Batch(key, is_identity, start, content, whole_key)
