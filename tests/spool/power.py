"""A power failure: what a disk may hold of an arena, made from its recorded writes.

    store, store, sync, store, store ─┬─ the power fails
                  │     └─────┬─────┘
              on the disk     └ each page as it was after any of these stores, or at the sync

The disk writes pages of 4096 bytes whenever it likes, in any order; `sectors` lets it write 512.
"""

import itertools
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from dataart_mp.queue import RecordQueue
from tests.queue.internals import intercept_writes

PAGE = 4096
SECTOR = 512
_MAX_EXHAUSTIVE = 3
_WORLD = slice(64, 88)


class Mark(NamedTuple):
    """Something that happened between two stores."""

    kind: str
    value: Any


_SYNC = Mark("sync", None)
_Store = tuple[int, bytes]


class Outage(NamedTuple):
    """A moment at which the power fails.

    Attributes:
        images: What the disk may hold of the arena then.
        marks: What had happened, by kind.
    """

    images: Iterator[bytes]
    marks: dict[str, list[Any]]


class WriteRecorder:
    """Records each store to a queue's arena, and each sync. Its syncer and marks are for the test.

    Args:
        queue: The queue, whose arena is on the disk at this moment.
    """

    def __init__(self, queue: RecordQueue) -> None:
        arena: Any = queue.arena
        self._journal: list[Mark | _Store] = []
        self._start = bytearray(arena.memory[:])
        self._start[_WORLD] = bytes(reversed(self._start[_WORLD]))  # of another boot
        memory, words = _Memory(arena.memory, self), _Words(arena.words, self)
        intercept_writes(queue, memory, words, arena.locks)
        arena.syncer = self

    def sync(self) -> bool:
        """Stand in for the arena's syncer."""
        self._journal.append(_SYNC)
        return True

    def mark(self, kind: str, value: Any) -> None:
        """Record that something has happened."""
        self._journal.append(Mark(kind, value))

    def stored(self, offset: int, data: bytes) -> None:
        """Record a store. Copying bytes is not a single store: the power may fail in between."""
        middle = len(data) // 2 if len(data) > SECTOR else 0
        parts = [(offset, data[:middle]), (offset + middle, data[middle:])]
        self._journal += [part for part in parts if part[1]]

    def outages(self, samples: int) -> Iterator[Outage]:
        """Let the power fail before the first store, before the second one, and so on.

        Args:
            samples: How many images of each kind are made of each outage, besides all mixtures of
                old and new pages when the pages are few.
        """
        chance = random.Random(samples)
        now, versions = bytearray(self._start), dict[int, list[bytes]]()
        disk, marks = bytes(now), dict[str, list[Any]]()
        for event in [*self._journal, Mark("end", None)]:
            if isinstance(event, Mark):
                yield Outage(_images(disk, versions, chance, samples), marks)
                marks.setdefault(event.kind, []).append(event.value)
                if event is _SYNC:
                    disk, versions = bytes(now), {}
                continue
            offset, data = event
            now[offset : offset + len(data)] = data
            for page in range(offset // PAGE, (offset + len(data) - 1) // PAGE + 1):
                versions.setdefault(page, []).append(bytes(now[page * PAGE : (page + 1) * PAGE]))
            yield Outage(_images(disk, versions, chance, samples), marks)


def _images(
    disk: bytes, versions: dict[int, list[bytes]], chance: random.Random, samples: int
) -> Iterator[bytes]:
    """Yield images of a disk: with old and new pages, with any pages, and with any sectors."""
    pages = list(versions)
    if len(pages) <= _MAX_EXHAUSTIVE:
        subsets = list(itertools.product((False, True), repeat=len(pages)))
    else:
        subsets = [tuple(chance.choice((False, True)) for _ in pages) for _ in range(samples)]
    for subset in subsets:
        new = {
            page: versions[page][-1] for page, chosen in zip(pages, subset, strict=True) if chosen
        }
        yield _with_pages(disk, new)
    for _ in range(samples if pages else 0):
        olds = {page: disk[page * PAGE : (page + 1) * PAGE] for page in pages}
        yield _with_pages(
            disk, {page: chance.choice([olds[page], *versions[page]]) for page in pages}
        )
        yield _with_pages(
            disk, {page: _sectors([olds[page], *versions[page]], chance) for page in pages}
        )


def _with_pages(disk: bytes, pages: dict[int, bytes]) -> bytes:
    image = bytearray(disk)
    for page, content in pages.items():
        image[page * PAGE : (page + 1) * PAGE] = content
    return bytes(image)


def _sectors(versions: list[bytes], chance: random.Random) -> bytes:
    return b"".join(
        chance.choice(versions)[start : start + SECTOR] for start in range(0, PAGE, SECTOR)
    )


class _Proxy:
    def __init__(self, target: Any, recorder: WriteRecorder) -> None:
        self._target = target
        self._recorder = recorder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def __getitem__(self, key: Any) -> Any:
        return self._target[key]


class _Memory(_Proxy):
    def __setitem__(self, key: Any, value: Any) -> None:
        self._target[key] = value
        offset = key.start if isinstance(key, slice) else key
        self._recorder.stored(offset, bytes(value) if isinstance(key, slice) else bytes([value]))


class _Words(_Proxy):
    def __setitem__(self, key: Any, value: Any) -> None:
        self._target[key] = value
        start = key.start if isinstance(key, slice) else key
        for number, word in enumerate(list(value) if isinstance(key, slice) else [value], start):
            self._recorder.stored(number * 8, int(word).to_bytes(8, "little"))
