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
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dataart_mp.config import limits
from dataart_mp.errors import ConfigError
from dataart_mp.queue import disk
from dataart_mp.queue.arena import Arena
from dataart_mp.queue.durability import NONE
from dataart_mp.queue.status import Status
from dataart_mp.spool import arena_file
from dataart_mp.spool.arena_file import SUFFIX, ArenaError
from dataart_mp.spool.ownership import Ownership
from dataart_mp.spool.parked_batch import DATABASE_NAME, MARK_SUFFIX
from dataart_mp.spool.permissions import PRIVATE_DIRECTORY, PRIVATE_FILE
from dataart_mp.spool.recovery import recover
from dataart_mp.spool.repair import repair

_log = logging.getLogger("dataart_mp")

_UNFINISHED_SUFFIX: Final = ".new"
_UNFINISHED_NAME: Final = re.compile(r"\d+-[0-9a-f]{16}\.new")

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
        for name in self._names():
            if _UNFINISHED_NAME.fullmatch(name):
                _remove_if_abandoned(directory / name)

    def create(self, frames: int, capacity: int) -> Arena:
        """Make an arena in a new file and reserve the file's whole size on disk.

        Args:
            frames: The number of frames.
            capacity: The bytes of content that one frame can hold.

        Raises:
            ConfigError: The disk has no room for the file, or its file system no locks; or there is
                no memory to map it. No file is left then.
            OSError: The file cannot be created.
        """
        arena = None
        while arena is None:
            arena = self._try_to_create(frames, capacity)
        return arena

    def _try_to_create(self, frames: int, capacity: int) -> Arena | None:
        """Return a new arena; None if another client took its file for an abandoned one."""
        name = f"{os.getpid()}-{os.urandom(8).hex()}{_UNFINISHED_SUFFIX}"
        unfinished = self._directory / name
        fd = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, fd)
            undo.callback(unfinished.unlink, missing_ok=True)
            try:
                if not arena_file.lock(fd) or not os.fstat(fd).st_nlink:
                    return None
                arena = arena_file.create(fd, frames, capacity, self._durability)
            except OSError as error:
                size = Arena.size(frames, capacity, self._durability)
                raise _no_room(self._directory, size, error) from error
            undo.pop_all()
            undo.callback(arena.close)
            undo.callback(unfinished.unlink, missing_ok=True)
            arena.path = unfinished.rename(self._directory / f"{arena.id}{SUFFIX}")
            undo.pop_all()
        if self._durability:
            _sync_names(self._directory)
        return arena

    def take_over_orphans(self) -> Iterator[Arena]:
        """Take over the arenas whose processes are all dead, and remove those that are empty.

        Only one process can take over an arena. A damaged arena is repaired first.

        Yields:
            Each arena that still holds records to deliver.
        """
        for name in sorted(self._names()):
            arena = _take_over(self._directory / name) if name.endswith(SUFFIX) else None
            if arena is not None and arena.all_free():
                arena_file.remove(arena)
                arena.close()
            elif arena is not None:
                yield arena

    def is_anything_parked(self, ownership: Ownership) -> bool:
        """Return whether the spool may hold parked batches of dead clients, which need workers.

        This lists the directory and opens no file. It must not use SQLite: an application that
        reads a file of the database would drop SQLite's locks on it, and a lock of another process
        would hold up the caller.
        """
        names = self._names()
        parked = {name.removesuffix(MARK_SUFFIX) for name in names if name.endswith(MARK_SUFFIX)}
        arenas = {name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)}
        return DATABASE_NAME in names and bool(parked - arenas - {ownership.arena_id})

    def _names(self) -> list[str]:
        """Return the names of all files; none if the directory cannot be read.

        The workers report that: they notice it, too, and events are delivered nevertheless.
        """
        try:
            return [path.name for path in self._directory.iterdir()]
        except OSError:
            return []


def _take_over(path: Path) -> Arena | None:
    """Return the arena if this process has taken it over; None if it is in use or unusable."""
    try:
        with contextlib.ExitStack() as undo:
            fd = _open(path)
            undo.callback(os.close, fd)
            # Of two processes that try at once, one gets the lock; the other finds it in use.
            if not arena_file.lock(fd) or not os.fstat(fd).st_nlink:
                return None
            arena, is_whole = arena_file.reopen(fd, path.name.removesuffix(SUFFIX))
            undo.pop_all()
    except FileNotFoundError:  # all delivered, and removed in the meantime
        return None
    except ArenaError as error:
        _set_aside(path, error)
        return None
    except OSError as error:  # a directory, a file of another user, no room to complete it
        _report_once(path, f"cannot be taken over: {error.strerror}")
        return None
    if arena_file.has_living_owner(arena):
        arena.close()
        return None
    _settle_in(arena, path, is_whole=is_whole)
    return arena


def _open(path: Path) -> int:
    """Open a regular file. Anything else is not even opened: a device might act on it.

    Raises:
        OSError: It is not a regular file, or cannot be opened.
    """
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, "Is a symbolic link")
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Is a directory" if stat.S_ISDIR(mode) else "Is not a file")
    return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)


def _settle_in(arena: Arena, path: Path, *, is_whole: bool) -> None:
    arena.path = path
    cut = recover(arena, may_be_parked=path.with_name(DATABASE_NAME).exists())
    if cut.frames:
        _log.warning(
            "spool: %s: the checksums of %d frames prove only a part of their content; the rest is "
            "not sent, %d records at most",
            _shown(path),
            cut.frames,
            cut.lost,
        )
    arena.settle_in()
    arena.wanted_until = 0  # may be a time of another boot's clock
    arena.spool_trouble = 0
    Status(arena).start_afresh()
    frames, lost = repair(arena)
    if frames or not is_whole:
        _log.warning(
            "spool: %s was damaged; %d frames repaired by their content, %d records unreadable",
            _shown(path),
            frames,
            lost,
        )


def _set_aside(path: Path, error: ArenaError) -> None:
    aside = path.with_name(f"{path.name}.{error.reason}")
    try:
        path.rename(aside)
    except OSError as failure:  # a directory has that name, or the file system is read-only
        _report_once(path, f"cannot be set aside: {failure.strerror}; {error}")
    else:
        _log.error("spool: %s set aside as %s: %s", _shown(path), _shown(aside.name), error)


def _report_once(path: Path, problem: str) -> None:
    if path not in _reported:
        _reported.add(path)
        _log.error("spool: %s %s", _shown(path), problem)


def _shown(path: Path | str) -> str:
    """Return a path for the log, where it must not break a line or be unprintable."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def _remove_if_abandoned(path: Path) -> None:
    """Remove an unfinished file whose process died; a living one has locked it.

    A process id in its name would prove nothing: it may be of another container.
    """
    with contextlib.suppress(OSError):  # a directory, say, or a file of another user
        fd = _open(path)
        try:
            if arena_file.lock(fd):
                path.unlink(missing_ok=True)
        finally:
            os.close(fd)


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
    _keep_others_out(directory, status.st_mode)
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise _refused(directory, f"is not writable; run: chmod 700 {directory}")


def _keep_others_out(directory: Path, mode: int) -> None:
    """Tighten a directory that a group may write to, and refuse one that everybody may write to.

    Kubernetes lets a group write to all that is in a volume, at each mount (`fsGroup`).

    Raises:
        ConfigError: Everybody may write to it, and rename and remove files of others.
    """
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise _refused(directory, f"is writable by other users; run: chmod 700 {directory}")
    if mode & stat.S_IWOTH:  # such as /tmp: it is not ours to change
        _log.warning(
            "spool_dir=%r: other users may create files in it; choose a directory with mode 700",
            str(directory),
        )
    elif mode & stat.S_IWGRP:
        try:
            directory.chmod(stat.S_IMODE(mode) & ~(stat.S_IRWXG | stat.S_IRWXO))
        except OSError as error:
            _log.warning(
                "spool_dir=%r: is writable by its group, and that cannot be changed (%s)",
                str(directory),
                error.strerror,
            )


def _sync_names(directory: Path) -> None:
    """Bring to the disk the names of the spool's files, and the name of the spool itself."""
    for each in (directory, directory.parent):
        # Not every file system can do it, and not every user may open the parent.
        with contextlib.suppress(OSError):
            disk.sync_directory(each)


def _no_room(directory: Path, size: int, error: OSError) -> ConfigError:
    is_full = error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
    problem = "has no room for" if is_full else "cannot hold"
    return _refused(
        directory,
        f"{problem} the {size:,} bytes of the buffer ({error.strerror}); {limits.remedy(error)}",
    )


def _refused(directory: Path, problem: str) -> ConfigError:
    return ConfigError(f"spool_dir={str(directory)!r}: {problem}", "spool_dir", str(directory))
