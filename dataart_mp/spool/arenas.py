"""The spool: a directory in which arenas are files, so that they outlive even all processes.

    <arena id>.arena                in use, or left behind by processes that are all dead
    <arena id>.arena.<reason>       set aside: foreign, newer, corrupt or truncated
    <process id>-<random>.new       being made
    parked.db                       what waits for the end of an outage: see `parking`
    dead/                           what was given up on: see `dead_letters`

A file gets its name when it is complete and in use. What is in it is on its way to the disk from
the moment it was written; only a power failure can still lose it.
"""

import errno
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dataart_mp.errors import ConfigError
from dataart_mp.queue.arena import MAPPED_HERE, Arena, ArenaError
from dataart_mp.queue.locks import TAKEOVER, RecordLocks
from dataart_mp.spool.parked_batch import FILE, Ownership
from dataart_mp.spool.permissions import PRIVATE_DIRECTORY, PRIVATE_FILE
from dataart_mp.spool.repair import repair

_log = logging.getLogger("dataart_mp")

_told: set[Path] = set()  # what cannot be taken over: it is looked at again and again

_SUFFIX: Final = ".arena"
_UNFINISHED: Final = ".new"
_EVER: Final = (1 << 63) - 1


class Spool:
    """One directory of arenas, of any number of processes.

    Args:
        directory: made when it isn't there.

    Raises:
        ConfigError: it is no directory, belongs to somebody else, or others may write to it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        _check(directory)
        for unfinished in directory.glob(f"*{_UNFINISHED}"):
            if not _lives(int(unfinished.name.partition("-")[0])):
                unfinished.unlink(missing_ok=True)

    def create(self, frames: int, capacity: int) -> Arena:
        """A new arena in a file of its own, all of its size reserved on the disk.

        Raises:
            ConfigError: there is no room for it.
        """
        unfinished = self._directory / f"{os.getpid()}-{os.urandom(8).hex()}{_UNFINISHED}"
        fd = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            arena = Arena.create(frames, capacity, fd)
        except OSError as error:
            unfinished.unlink()
            os.close(fd)
            raise _no_room(self._directory, Arena.size(frames, capacity), error) from error
        arena.locks.announce()
        arena.named(unfinished.rename(self._directory / f"{arena.id}{_SUFFIX}"))
        return arena

    def orphaned(self) -> Iterator[Arena]:
        """Take over the arenas whose processes are all dead; each by one heir at a time.

        Yields:
            Arenas in which something is still to be delivered, mended if they were damaged.
        """
        for path in sorted(self._directory.glob(f"*{_SUFFIX}")):
            arena = None if path in MAPPED_HERE else _inherit(path)
            if arena is not None and arena.all_free():
                remove(arena)
                arena.close()
            elif arena is not None:
                yield arena

    def traces_of_parking(self, ownership: Ownership) -> tuple[list[int], list[str]]:
        """What is another value when something was parked since, or a client has come or gone."""
        files = (self._directory / f"{FILE}{suffix}" for suffix in ("", "-wal"))
        return [_modified(file) for file in files], sorted(ownership.others())

    def is_anything_parked(self, ownership: Ownership) -> bool:
        """Whether a client that is gone has parked something: it wants workers, to be sent."""
        if not (self._directory / FILE).exists():
            return False
        # Not before there is something: most applications need no SQLite.
        from dataart_mp.spool.parking_lot import ParkingError, ParkingLot

        lot = ParkingLot(self._directory, max_bytes=0)
        try:
            kinds = (lot.waiting(_EVER, ownership, is_identity=kind) for kind in (False, True))
            return any(True for kind in kinds for _ in kind)
        except ParkingError as error:
            _log.error("spool: what is parked cannot be read: %s", error)
            return False
        finally:
            lot.close()


def arenas_beside(arena: Arena) -> list[str]:
    """The ids of all arenas in the same spool, of the living and of the dead."""
    if arena.path is None:
        return []
    return [path.name.removesuffix(_SUFFIX) for path in arena.path.parent.glob(f"*{_SUFFIX}")]


def is_beside(arena: Arena, identity: str) -> bool:
    """Whether the arena of that id is in the same spool."""
    return arena.path is not None and arena.path.with_name(f"{identity}{_SUFFIX}").exists()


def remove(arena: Arena) -> None:
    """Remove the file of an arena that is empty and that nobody will use again."""
    if arena.path is not None:
        arena.path.unlink(missing_ok=True)


def _inherit(path: Path) -> Arena | None:
    """The arena, if this process is its heir now; None when it is in use, or unusable."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:  # delivered, and gone in the meantime
        return None
    except OSError as error:  # a directory, a link, somebody else's
        if path not in _told:
            _told.add(path)
            _log.error("spool: %s cannot be taken over: %s", path, error.strerror)
        return None
    locks = RecordLocks(fd)
    # Two who ask at once: one is the heir; the other finds it in use.
    if locks.anybody() or not locks.acquire(TAKEOVER) or not os.fstat(fd).st_nlink:
        os.close(fd)
        return None
    try:
        arena, whole = Arena.reopen(fd)
    except ArenaError as error:
        aside = path.rename(path.with_name(f"{path.name}.{error.reason}"))
        _log.error("spool: %s set aside as %s: %s", path, aside.name, error)
        os.close(fd)
        return None
    arena.named(path)
    arena.locks.acquire(TAKEOVER)
    arena.wanted_until = 0  # of another boot's clock, perhaps
    mended = repair(arena)
    if mended or not whole:
        _log.warning("spool: %s was damaged; %d frames mended by their content", path, mended)
    return arena


def _modified(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _check(directory: Path) -> None:
    try:
        directory.mkdir(PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        status = directory.stat()
    except OSError as error:
        raise _refused(directory, f"cannot be made: {error.strerror}") from error
    if status.st_uid != os.geteuid():
        raise _refused(directory, f"belongs to user {status.st_uid}, and this is {os.geteuid()}")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _refused(directory, f"may be written to by others; chmod 700 {directory}")
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise _refused(directory, f"cannot be written to; chmod 700 {directory}")


def _no_room(directory: Path, size: int, error: OSError) -> ConfigError:
    if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return _refused(directory, f"cannot hold a file of {size:,} bytes: {error.strerror}")
    return _refused(
        directory,
        f"has no room for the {size:,} bytes of the buffer ({error.strerror}); make room, or set a "
        "smaller flush_buffer_size or max_request_bytes",
    )


def _refused(directory: Path, problem: str) -> ConfigError:
    return ConfigError(f"spool_dir={str(directory)!r}: {problem}", "spool_dir", str(directory))
