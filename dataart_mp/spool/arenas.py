"""The arenas of a spool: made for new clients, and taken over from dead ones.

    <process id>-<random>.new ──rename──► <arena id>.arena ──all records settled──► removed
                                               │    ▲
                         all its processes die │    │ another client takes it over
                                               ▼    │
                                              orphaned ──unusable──► <arena id>.arena.<reason>

A file gets its final name when it is complete and locked.
"""

import contextlib
import errno
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dataart_mp.errors import ConfigError
from dataart_mp.queue import disk
from dataart_mp.queue.arena import Arena
from dataart_mp.queue.durability import NONE
from dataart_mp.spool import arena_file
from dataart_mp.spool.arena_file import SUFFIX, ArenaError
from dataart_mp.spool.ownership import Ownership
from dataart_mp.spool.parked_batch import DATABASE_NAME
from dataart_mp.spool.permissions import PRIVATE_DIRECTORY, PRIVATE_FILE
from dataart_mp.spool.recovery import recover
from dataart_mp.spool.repair import repair

_log = logging.getLogger("dataart_mp")

_UNFINISHED_SUFFIX: Final = ".new"
_END_OF_TIME: Final = (1 << 63) - 1

# Paths that were reported as unusable. They are looked at again and again, and reported once.
_reported: Final[set[Path]] = set()


class Spool:
    """A directory that holds the arenas of any number of clients.

    Args:
        directory: Created when it does not exist.
        durability: What of new arenas a power failure may cost; see `queue.durability`.

    Raises:
        ConfigError: The path is not a directory, it belongs to another user, or others can write
            to it.
    """

    def __init__(self, directory: Path, durability: int = NONE) -> None:
        self._directory = directory
        self._durability = durability
        _check(directory)
        for unfinished in directory.glob(f"*{_UNFINISHED_SUFFIX}"):
            if not _is_alive(int(unfinished.name.partition("-")[0])):
                unfinished.unlink(missing_ok=True)

    def create(self, frames: int, capacity: int) -> Arena:
        """Make an arena in a new file and reserve the file's whole size on disk.

        Args:
            frames: The number of frames.
            capacity: The bytes of content that one frame can hold.

        Raises:
            ConfigError: The disk has no room for the file.
        """
        name = f"{os.getpid()}-{os.urandom(8).hex()}{_UNFINISHED_SUFFIX}"
        unfinished = self._directory / name
        fd = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            arena_file.lock(fd)
            arena = arena_file.create(fd, frames, capacity, self._durability)
        except OSError as error:
            unfinished.unlink()
            os.close(fd)
            raise _no_room(self._directory, Arena.size(frames, capacity), error) from error
        arena.path = unfinished.rename(self._directory / f"{arena.id}{SUFFIX}")
        if self._durability:
            _sync_names(self._directory)
        return arena

    def take_over_orphans(self) -> Iterator[Arena]:
        """Take over the arenas whose processes are all dead, and remove those that are empty.

        Only one process can take over an arena. A damaged arena is repaired first.

        Yields:
            Each arena that still holds records to deliver.
        """
        for path in sorted(self._directory.glob(f"*{SUFFIX}")):
            arena = _take_over(path)
            if arena is not None and arena.all_free():
                arena_file.remove(arena)
                arena.close()
            elif arena is not None:
                yield arena

    def parking_fingerprint(self, ownership: Ownership) -> object:
        """Return a value that changes when a batch is parked or a client starts or ends."""
        files = (self._directory / f"{DATABASE_NAME}{suffix}" for suffix in ("", "-wal"))
        return [_modified(file) for file in files], sorted(ownership.other_arenas())

    def is_anything_parked(self, ownership: Ownership) -> bool:
        """Return whether the spool holds parked batches of dead clients, which need workers."""
        if not (self._directory / DATABASE_NAME).exists():
            return False
        # Imported only now, because it loads SQLite, which most applications never need.
        from dataart_mp.spool.parking_lot import ParkingError, ParkingLot

        parking_lot = ParkingLot(self._directory, max_bytes=0)
        try:
            kinds = (
                parking_lot.waiting(_END_OF_TIME, ownership, is_identity=kind)
                for kind in (False, True)
            )
            return any(True for kind in kinds for _ in kind)
        except ParkingError as error:
            _log.error("spool: parked batches cannot be read: %s", error)
            return False
        finally:
            parking_lot.close()


def _take_over(path: Path) -> Arena | None:
    """Return the arena if this process has taken it over; None if it is in use or unusable."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:  # all delivered, and removed in the meantime
        return None
    except OSError as error:  # a directory, a symbolic link, or a file of another user
        if path not in _reported:
            _reported.add(path)
            _log.error("spool: %s cannot be taken over: %s", path, error.strerror)
        return None
    # Of two processes that try at once, one gets the lock; the other finds the arena in use.
    if not arena_file.lock(fd) or not os.fstat(fd).st_nlink:
        os.close(fd)
        return None
    try:
        arena, is_whole = arena_file.reopen(fd)
    except ArenaError as error:
        aside = path.rename(path.with_name(f"{path.name}.{error.reason}"))
        _log.error("spool: %s set aside as %s: %s", path, aside.name, error)
        os.close(fd)
        return None
    if arena_file.has_living_owner(arena):
        arena.close()
        return None
    arena.path = path
    incomplete = recover(arena, may_be_parked=path.with_name(DATABASE_NAME).exists())
    if incomplete:
        _log.warning("spool: %s: %d frames were not on the disk completely", path, incomplete)
    arena.settle_in()
    arena.wanted_until = 0  # may be a time of another boot's clock
    repaired = repair(arena)
    if repaired or not is_whole:
        _log.warning("spool: %s was damaged; %d frames repaired by their content", path, repaired)
    return arena


def _modified(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # a process of another user
        return True
    return True


def _check(directory: Path) -> None:
    """Create the directory if necessary.

    Raises:
        ConfigError: It cannot be used.
    """
    try:
        directory.mkdir(PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        status = directory.stat()
    except OSError as error:
        raise _refused(
            directory,
            f"cannot be created: {error.strerror}; create it for user {os.geteuid()}, mode 700",
        ) from error
    if status.st_uid != os.geteuid():
        raise _refused(
            directory,
            f"belongs to user {status.st_uid}, and this process runs as user {os.geteuid()}; "
            f"run it as user {status.st_uid}, or run: chown {os.geteuid()} {directory}",
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _refused(directory, f"is writable by other users; run: chmod 700 {directory}")
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise _refused(directory, f"is not writable; run: chmod 700 {directory}")


def _sync_names(directory: Path) -> None:
    """Bring to the disk the names of the spool's files, and the name of the spool itself."""
    for each in (directory, directory.parent):
        # Not every file system can do it, and not every user may open the parent.
        with contextlib.suppress(OSError):
            disk.sync_directory(each)


def _no_room(directory: Path, size: int, error: OSError) -> ConfigError:
    if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return _refused(
            directory,
            f"cannot hold a file of {size:,} bytes: {error.strerror}; "
            "set spool_dir to a directory on a local disk",
        )
    return _refused(
        directory,
        f"has no room for the {size:,} bytes of the buffer ({error.strerror}); free disk space, or "
        "lower flush_buffer_size or max_request_bytes",
    )


def _refused(directory: Path, problem: str) -> ConfigError:
    return ConfigError(f"spool_dir={str(directory)!r}: {problem}", "spool_dir", str(directory))
