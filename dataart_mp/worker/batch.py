"""A batch: the records that cross the network together."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from dataart_mp.queue import Frame
from dataart_mp.transport.envelope import body_of, path_of


@dataclass(frozen=True, slots=True)
class Batch:
    """What one request carries.

    Attributes:
        key: the Idempotency-Key; the same whenever the same content is sent.
        is_identity: one identity, or else actions.
        start: where the content begins in its frame, in bytes.
        content: the records, as JSON lines.
        whole: the key of what it is a part of; empty: it is no part.
    """

    key: str
    is_identity: bool
    start: int
    content: bytes
    whole: str = ""

    @property
    def end(self) -> int:
        """Where the content ends in its frame, in bytes."""
        return self.start + len(self.content)

    @property
    def size(self) -> int:
        """How many bytes of records."""
        return len(self.content)

    @property
    def count(self) -> int:
        """How many records."""
        return self.content.count(b"\n")

    @property
    def kind(self) -> Literal["action", "identity"]:
        """What the records are."""
        return "identity" if self.is_identity else "action"

    @property
    def path(self) -> str:
        """Where the platform takes it, behind the base URL."""
        return path_of(self.is_identity)

    def body(self, now: datetime) -> bytes:
        """The body of the request that carries it.

        Args:
            now: The moment of sending, with its UTC offset.
        """
        return body_of(self.content, now, is_identity=self.is_identity)

    def halves(self) -> tuple["Batch", "Batch"]:
        """Two batches of about as many records each; only for a batch of two records or more."""
        cut = 0
        for _ in range(self.count // 2):
            cut = self.content.index(b"\n", cut) + 1
        return self._part(0, cut), self._part(cut, len(self.content))

    def _part(self, start: int, end: int) -> "Batch":
        return batch_of(
            self.whole or self.key,
            self.is_identity,
            self.start + start,
            self.content[start:end],
        )


def batch_of(
    frame_key: str, is_identity: bool, start: int, content: bytes, whole: bool = False
) -> Batch:
    """A batch out of a frame; a part of a frame gets a key of its own."""
    if whole:
        return Batch(frame_key, is_identity, start, content)
    key = f"{frame_key}+{start}-{start + len(content)}"
    return Batch(key, is_identity, start, content, frame_key)


def as_cut(frame: Frame, key: str) -> list[Batch]:
    """What is still to be sent of a frame, in the cut of its last try, the first batch last.

    Args:
        frame: claimed.
        key: of all that is in it.
    """
    return [
        batch_of(
            key,
            frame.is_identity,
            start,
            frame.content(start, end),
            whole=start == 0 and end == frame.length,
        )
        for start, end in reversed(frame.spans())
    ]
