"""The file that holds an arena, so that the arena outlives all processes that use it.

    arena file = header │ counters │ states │ accounts │ frames       (drawn in `queue.arena`)

The whole file is reserved on disk before it is mapped: a store to a mapped page for which the disk
has no room would kill the process with SIGBUS.

An open arena has one lock (`flock`) on its file. The lock belongs to the open file description,
which all processes that use the arena share, because they inherit it: forked children at once, and
workers from their starter. So the lock is held as long as any of them holds the descriptor, and no
`close` of another descriptor of the file, in whatever process, releases it. Whoever gets the lock
is the only user of the arena.
"""

import contextlib
import fcntl
import os
from typing import Final

from dataart_mp.queue import disk
from dataart_mp.queue.account import MAX_CAPACITY
from dataart_mp.queue.arena import (
    FILLING,
    HEADER,
    LAYOUT_VERSION,
    MAGIC,
    SENDING,
    Arena,
    stride_of,
)
from dataart_mp.queue.durability import NONE

SUFFIX: Final = ".arena"
"""The name of an arena's file is the arena's id and this suffix."""

_MAX_FRAMES: Final = 1_000_000


class ArenaError(Exception):
    """A file does not hold an arena that this release can use.

    Attributes:
        reason: One word: `foreign`, `newer`, `older`, `corrupt` or `truncated`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason

    def __str__(self) -> str:
        return str(self.args[1])


def create(fd: int, frames: int, capacity: int, durability: int = NONE) -> Arena:
    """Make an arena in an empty file and reserve its whole size on disk.

    Args:
        fd: Descriptor of the file; the arena closes it, unless this function raises.
        frames: The number of frames.
        capacity: The bytes of content that one frame can hold.
        durability: What of it a power failure may cost; see `queue.durability`.

    Raises:
        OSError: The disk has no room for the file, or fails.
    """
    _reserve(fd, Arena.size(frames, capacity))
    arena = Arena.format(fd, frames, capacity)
    if durability:
        arena.durability = durability
        arena.memory.flush()
        disk.sync_file(fd)
    return arena


def reopen(fd: int) -> tuple[Arena, bool]:
    """Map the arena in a file that may be damaged.

    Args:
        fd: Descriptor of the file; the arena closes it, unless this function raises.

    Returns:
        The arena, and whether the file had its full size. Missing bytes are replaced by zeros.

    Raises:
        ArenaError: The file does not hold an arena of this layout.
        OSError: The disk has no room for the missing bytes.
    """
    frames, capacity = _check_header(os.pread(fd, HEADER.size, 0))
    size = Arena.size(frames, capacity)
    is_whole = os.fstat(fd).st_size >= size
    if not is_whole:
        _reserve(fd, size)
    return Arena(fd), is_whole


def lock(fd: int) -> bool:
    """Lock an arena's file for this open description of it; False when another one has the lock.

    Args:
        fd: Descriptor of the file, by a description that was opened for this arena.

    Raises:
        OSError: The file system has no locks.
    """
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def has_living_owner(arena: Arena) -> bool:
    """Return whether a living process owns a frame, though it has not got the file's lock.

    Its application has closed its descriptors, and it still has the arena mapped.
    """
    owned = (frame for state in (FILLING, SENDING) for frame in arena.each_in(state))
    return any(arena.is_owner_alive(frame) for frame in owned)


def remove(arena: Arena) -> None:
    """Remove the file of an arena that is empty and will not be used again."""
    if arena.path is not None:
        arena.path.unlink(missing_ok=True)


def ids_beside(arena: Arena) -> list[str]:
    """Return the ids of all arenas in the same spool, those of dead clients included."""
    if arena.path is None:
        return []
    return [path.name.removesuffix(SUFFIX) for path in arena.path.parent.glob(f"*{SUFFIX}")]


def is_beside(arena: Arena, identity: str) -> bool:
    """Return whether the same spool holds the arena with the id `identity`."""
    return arena.path is not None and arena.path.with_name(f"{identity}{SUFFIX}").exists()


def _check_header(header: bytes) -> tuple[int, int]:
    """Return the number of frames and the capacity of each.

    Raises:
        ArenaError: The bytes are not the header of an arena of this layout.
    """
    if len(header) < HEADER.size:
        raise ArenaError("truncated", f"its header has {HEADER.size} bytes, {len(header)} are left")
    magic, version, _, frames, capacity, stride = HEADER.unpack(header)
    if magic != MAGIC:
        raise ArenaError("foreign", f"it begins with {magic!r} instead of {MAGIC!r}")
    if version != LAYOUT_VERSION:
        raise ArenaError(
            "newer" if version > LAYOUT_VERSION else "older",
            f"its layout version is {version}, and this release knows {LAYOUT_VERSION}; "
            "use the release that wrote it",
        )
    is_possible = 1 <= frames <= _MAX_FRAMES and 1 <= capacity <= MAX_CAPACITY
    if not is_possible or stride != stride_of(capacity):
        raise ArenaError(
            "corrupt", f"{frames} frames of {capacity} bytes, one every {stride}, are impossible"
        )
    return frames, capacity


def _reserve(fd: int, size: int) -> None:
    """Extend the file to `size` bytes and reserve their room on disk."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
        return
    chunk = bytes(1 << 20)  # macOS has no such call; writing has the same effect
    for start in range(os.fstat(fd).st_size, size, len(chunk)):
        os.pwrite(fd, chunk[: size - start], start)
