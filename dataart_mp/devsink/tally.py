"""The count of one kind of item, and of what came twice."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from dataart_mp.devsink.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Iterable

_DIGEST_BYTES: Final = 16


class Tally:
    """Counts items, knows the content of each for ever, keeps the newest ones.

    Attributes:
        arrived: All items, doubles included.
        explained: Doubles in requests that repeat an accepted one.
        unexplained: All other doubles.
        kept: The newest items.
    """

    def __init__(self, keep: int) -> None:
        self.arrived = 0
        self.explained = 0
        self.unexplained = 0
        self.kept = Shelf(keep)
        self._seen: set[bytes] = set()

    @property
    def distinct(self) -> int:
        """How many items of different content arrived."""
        return len(self._seen)

    def add(self, encoded: list[bytes], digests: list[bytes], *, repeated: bool) -> None:
        """Count the items of one request."""
        before = len(self._seen)
        self._seen.update(digests)
        doubles = len(digests) - (len(self._seen) - before)
        self.arrived += len(digests)
        if repeated:
            self.explained += doubles
        else:
            self.unexplained += doubles
        self.kept.add(encoded)


def digests_of(encoded: Iterable[bytes]) -> list[bytes]:
    """A digest of each item: 336,776 flights at 300 bytes need not be kept to be recognised."""
    return [blake2b(item, digest_size=_DIGEST_BYTES).digest() for item in encoded]


def digest_of(parts: Iterable[bytes]) -> bytes:
    """One digest of many."""
    return blake2b(b"".join(parts), digest_size=_DIGEST_BYTES).digest()
