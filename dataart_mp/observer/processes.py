"""The processes that have arenas mapped, by `/proc`. Only Linux has it."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from dataart_mp.errors import DataArtError
from dataart_mp.spool.arena_file import SUFFIX

_PROC: Final = Path("/proc")
_MEMORY: Final = "/memfd:dataart_mp (deleted)"
_DELETED: Final = " (deleted)"
_FIELDS_BEFORE_PATH: Final = 5


class ObserverError(DataArtError):
    """What is to be observed does not exist, or cannot be read; the message says why."""


class Identity(NamedTuple):
    """What identifies the memory of an arena on this machine.

    Attributes:
        name: The name of its file, which no other arena has; empty if it is in memory.
        device: The device number of the memory; 0 if it is a file, because file systems that lie
            over each other show another one here and there.
        inode: The inode of the memory; 0 if it is a file.
    """

    name: str
    device: int = 0
    inode: int = 0


@dataclass(slots=True)
class Mapped:
    """An arena that processes have mapped.

    Attributes:
        identity: Its memory.
        path: Its file as its processes see it; None if it is in memory.
        pids: The processes.
    """

    identity: Identity
    path: Path | None
    pids: list[int] = field(default_factory=list)

    def open(self) -> int:
        """Return a descriptor for reading, through a process that has one; the caller closes it.

        Raises:
            ObserverError: No process has a descriptor of it that this user may open.
        """
        for pid in self.pids:
            with contextlib.suppress(OSError):  # it has ended meanwhile
                for link in (_PROC / str(pid) / "fd").iterdir():
                    fd = _open_if(link, self.identity)
                    if fd is not None:
                        return fd
        raise ObserverError(
            f"the arena of process {self.pids[0]} cannot be read: none of its processes has a "
            "descriptor of it that this user may open"
        )


def is_supported() -> bool:
    """Return whether this system shows which memory a process has mapped."""
    return (_PROC / "self/maps").exists()


def mapped() -> list[Mapped]:
    """Return the arenas that processes of this user have mapped.

    Raises:
        ObserverError: This system does not show what processes have mapped.
    """
    _check_support()
    return _mapped_by(_pids())


def mapped_by(pid: int) -> list[Mapped]:
    """Return the arenas that a process has mapped.

    If it has none, return those of the processes that it has started, and that these have started:
    it may be the master of a server.

    Raises:
        ObserverError: The process does not exist, or belongs to another user; or this system does
            not show what processes have mapped.
    """
    _check_support()
    return _mapped_by([_checked(pid)]) or _mapped_by(_descendants(pid))


def _check_support() -> None:
    if not is_supported():
        raise ObserverError(
            "this system does not show the memory of other processes; give the spool_dir of the "
            "clients, whose files can be read"
        )


def _mapped_by(pids: list[int]) -> list[Mapped]:
    found: dict[Identity, Mapped] = {}
    for each in pids:
        for identity, path in _arenas(each):
            arena = found.setdefault(identity, Mapped(identity, path))
            if each not in arena.pids:
                arena.pids.append(each)
    return list(found.values())


def name_of(pid: int) -> str:
    """Return the name of a program, without its arguments, which may hold secrets; or ""."""
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "comm").read_text(errors="replace").strip()
    return ""


def _pids() -> list[int]:
    me, user = os.getpid(), os.geteuid()
    pids = []
    for directory in _PROC.iterdir():
        if directory.name.isdigit() and int(directory.name) != me:
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if user in (0, directory.stat().st_uid):
                    pids.append(int(directory.name))
    return sorted(pids)


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for each in _pids():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            children.setdefault(_parent(each), []).append(each)
    found = children.get(pid, [])
    for each in found:  # it grows meanwhile
        found += children.get(each, [])
    return found


def _parent(pid: int) -> int:
    # The name of the program comes before, in parentheses, and may contain anything.
    fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    return int(fields[1])


def _checked(pid: int) -> int:
    try:
        (_PROC / str(pid) / "maps").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        raise ObserverError(f"there is no process {pid}") from None
    except PermissionError:
        raise ObserverError(
            f"process {pid} belongs to another user; run this as that user"
        ) from None
    return pid


def _arenas(pid: int) -> Iterator[tuple[Identity, Path | None]]:
    try:
        lines = (_PROC / str(pid) / "maps").read_text(errors="surrogateescape").splitlines()
    except OSError:  # it has ended, or may not be read
        return
    for line in lines:
        fields = line.split(maxsplit=_FIELDS_BEFORE_PATH)
        if len(fields) <= _FIELDS_BEFORE_PATH:
            continue
        path = fields[_FIELDS_BEFORE_PATH]
        is_file = path.removesuffix(_DELETED).endswith(SUFFIX)
        if is_file or path == _MEMORY:
            yield _identity(fields, path, is_file=is_file)


def _identity(fields: list[str], path: str, *, is_file: bool) -> tuple[Identity, Path | None]:
    if is_file:
        file = Path(path.removesuffix(_DELETED))
        return Identity(file.name), file
    major, minor = (int(part, 16) for part in fields[3].split(":"))
    return Identity("", os.makedev(major, minor), int(fields[4])), None


def _open_if(link: Path, identity: Identity) -> int | None:
    """Open a descriptor of a process for reading, if it is that of an arena."""
    try:
        if identity.name:
            is_it = link.readlink().name.removesuffix(_DELETED) == identity.name
        else:
            status = link.stat()
            is_it = (status.st_dev, status.st_ino) == (identity.device, identity.inode)
        return os.open(link, os.O_RDONLY | os.O_CLOEXEC) if is_it else None
    except OSError:
        return None
