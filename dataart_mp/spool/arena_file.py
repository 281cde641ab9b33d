"""The file that holds an arena, so that the arena outlives all processes that use it.

    arena file = header │ counters │ states │ accounts │ frames       (drawn in `queue.arena`)

The whole file is reserved on disk before it is mapped: a store to a mapped page for which the disk
has no room would kill the process with SIGBUS.

An open arena has one lock (`flock`) on its file. The lock belongs to the open file description,
which all processes that use the arena share, because they inherit it: forked children at once, and
workers from their starter. So the lock is held as long as any of them holds the descriptor, and no
`close` of another descriptor of the file, in whatever process, releases it. The process that gets
the lock is the only user of the arena.
"""

import contextlib
import errno
import fcntl
import os
import re
from typing import Final

from dataart_mp.queue import disk
from dataart_mp.queue.account import MAX_CAPACITY
from dataart_mp.queue.arena import FILLING, SENDING, Arena, stride_of
from dataart_mp.queue.durability import NONE
from dataart_mp.queue.header import Header, HeaderError

SUFFIX: Final = ".arena"
"""The name of an arena's file is the arena's id and this suffix."""

_ID: Final = re.compile(r"[0-9a-f]{32}")
_MAX_FRAMES: Final = 1_000_000

ArenaError = HeaderError
"""A file does not hold an arena that this release can use; `reason` says why in one word."""


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
    _reserve(fd, Arena.size(frames, capacity, durability))
    arena = Arena.format(fd, frames, capacity, durability)
    if durability:
        arena.memory.flush()
        disk.sync_file(fd)
    return arena


def reopen(fd: int, identity: str = "") -> tuple[Arena, bool]:
    """Map the arena in a file that may be damaged.

    Args:
        fd: Descriptor of the file; the arena closes it, unless this function raises.
        identity: The arena's id by the name of the file, which replaces a different one in the
            header.

    Returns:
        The arena, and whether the file was whole. Missing bytes are replaced by zeros, and the
        header by its intact copy.

    Raises:
        ArenaError: The file does not hold an arena of this layout.
        OSError: The file cannot be read, or the disk has no room for the missing bytes.
    """
    header = Header.read(fd)
    check_sizes(header)
    is_whole = Header.is_whole(fd)
    if _ID.fullmatch(identity):
        header = header._replace(identity=bytes.fromhex(identity))
    header.write(fd)
    size = Arena.size_of(header)
    length = os.fstat(fd).st_size
    if length < size:
        is_whole = False
        _extend(fd, length, size)
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
    """Remove the file of an arena that is empty and will not be used again.

    If it cannot be removed now, the next client on the spool removes it.
    """
    if arena.path is not None:
        with contextlib.suppress(OSError):
            arena.path.unlink()


def has_name(arena: Arena) -> bool:
    """Return whether a new client could find the arena's file: it has not been removed."""
    return arena.path is not None and os.fstat(arena.fd).st_nlink > 0


def ids_beside(arena: Arena) -> list[str]:
    """Return the ids of all arenas in the same spool, those of dead clients included.

    Raises:
        OSError: The spool cannot be read.
    """
    if arena.path is None:
        return []
    paths = arena.path.parent.iterdir()
    return [path.name.removesuffix(SUFFIX) for path in paths if path.name.endswith(SUFFIX)]


def is_beside(arena: Arena, identity: str) -> bool:
    """Return whether the same spool holds the arena with the id `identity`.

    Raises:
        OSError: The spool cannot be read.
    """
    if arena.path is None:
        return False
    try:
        arena.path.with_name(f"{identity}{SUFFIX}").lstat()
    except FileNotFoundError:
        arena.path.parent.stat()  # a spool that was removed says nothing of other clients
        return False
    return True


def check_sizes(header: Header) -> None:
    """Check that an arena can have these sizes.

    Raises:
        ArenaError: It cannot.
    """
    _, frames, capacity, stride, _ = header
    is_possible = 1 <= frames <= _MAX_FRAMES and 1 <= capacity <= MAX_CAPACITY
    if not is_possible or stride != stride_of(capacity):
        raise ArenaError(
            "corrupt", f"{frames} frames of {capacity} bytes, one every {stride}, are impossible"
        )


def _extend(fd: int, length: int, size: int) -> None:
    """Extend a truncated file to its size. If the disk has no room, it stays as long as it is.

    Raises:
        OSError: The disk has no room.
    """
    status = os.fstatvfs(fd)
    if status.f_bavail * status.f_frsize < size - length:  # else it would be filled for nothing
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    try:
        _reserve(fd, size)
    except OSError:
        os.ftruncate(fd, length)
        raise


def _reserve(fd: int, size: int) -> None:
    """Extend the file to `size` bytes and reserve their room on disk."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
        return
    chunk = bytes(1 << 20)  # macOS has no such call; writing has the same effect
    for start in range(os.fstat(fd).st_size, size, len(chunk)):
        os.pwrite(fd, chunk[: size - start], start)
