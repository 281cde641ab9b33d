"""The count of one kind of item, and of what came twice."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_DIGEST_BYTES: Final = 16


class Doubles(NamedTuple):
    """Which items of a request had come before.

    Attributes:
        indices: Of those items, ascending.
        explained: Whether the request repeats an accepted one.
    """

    indices: tuple[int, ...] = ()
    explained: bool = False


class Tally:
    """Counts items, and knows the content of each for ever.

    Attributes:
        arrived: All items, doubles included.
        explained: Doubles in requests that repeat an accepted one.
        unexplained: All other doubles.
    """

    def __init__(self) -> None:
        self.arrived = 0
        self.explained = 0
        self.unexplained = 0
        self._seen: set[bytes] = set()

    @property
    def distinct(self) -> int:
        """How many items of different content arrived."""
        return len(self._seen)

    def add(self, digests: list[bytes], *, repeated: bool) -> Doubles:
        """Count the items of one request; return which of them had come before."""
        indices = self._doubles(digests)
        self.arrived += len(digests)
        if repeated:
            self.explained += len(indices)
        else:
            self.unexplained += len(indices)
        return Doubles(indices, repeated)

    def _doubles(self, digests: list[bytes]) -> tuple[int, ...]:
        seen = self._seen
        # Nearly always nothing came twice, and sets find that out without a loop of ours.
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
    """A digest of each item: 336,776 flights at 300 bytes need not be kept to be recognised."""
    return [blake2b(item, digest_size=_DIGEST_BYTES).digest() for item in encoded]


def digest_of(parts: Iterable[bytes]) -> bytes:
    """One digest of many."""
    return blake2b(b"".join(parts), digest_size=_DIGEST_BYTES).digest()
