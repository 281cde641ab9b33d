"""The counter of one kind of items, which also detects duplicates."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_DIGEST_BYTES: Final = 16


class Duplicates(NamedTuple):
    """Which items of a request arrived before.

    Attributes:
        indices: Indices of these items in the request, ascending.
        explained: Whether the request repeats an accepted one.
    """

    indices: tuple[int, ...] = ()
    explained: bool = False


class ItemCounter:
    """Counts items, and detects duplicates.

    Args:
        by_content: Whether an item is a duplicate if one with the same content has arrived; else
            only the items of a request that repeats an accepted one are duplicates.

    Attributes:
        arrived: Number of items, duplicates included.
        explained: Number of duplicates in requests that repeat an accepted one.
        unexplained: Number of all other duplicates.
    """

    def __init__(self, *, by_content: bool = True) -> None:
        self._by_content = by_content
        self.arrived = 0
        self.explained = 0
        self.unexplained = 0
        self._seen: set[bytes] = set()

    @property
    def distinct(self) -> int:
        """Number of items that are not duplicates."""
        return self.arrived - self.explained - self.unexplained

    def add(self, digests: list[bytes], *, repeated: bool) -> Duplicates:
        """Count the items of one request.

        Args:
            digests: A digest of each item.
            repeated: Whether the request repeats an accepted one.

        Returns:
            Which of the items are duplicates.
        """
        if self._by_content:
            indices = self._duplicates(digests)
        else:
            indices = tuple(range(len(digests))) if repeated else ()
        self.arrived += len(digests)
        if repeated:
            self.explained += len(indices)
        else:
            self.unexplained += len(indices)
        return Duplicates(indices, repeated)

    def _duplicates(self, digests: list[bytes]) -> tuple[int, ...]:
        seen = self._seen
        # Usually there is no duplicate, and set operations find that without a Python loop.
        if seen.isdisjoint(digests) and len(fresh := set(digests)) == len(digests):
            seen |= fresh
            return ()
        indices = []
        for index, digest in enumerate(digests):
            if digest in seen:
                indices.append(index)
            seen.add(digest)
        return tuple(indices)


def digests_of(encoded: Iterable[bytes]) -> list[bytes]:
    """Return a digest of each item, which takes less memory than the item."""
    return [blake2b(item, digest_size=_DIGEST_BYTES).digest() for item in encoded]


def digest_of(parts: Iterable[bytes]) -> bytes:
    """Return one digest of all the parts."""
    return blake2b(b"".join(parts), digest_size=_DIGEST_BYTES).digest()
