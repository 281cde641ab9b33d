"""What the kernel says of a process."""

import os
from collections.abc import Iterator
from pathlib import Path

_STATE, _PARENT, _BORN = 0, 1, 19  # fields of /proc/PID/stat behind the name


def born(pid: int) -> int | None:
    """When the process was born, in ticks; None when there is none, or only a zombie.

    Together with its number this names a process for ever.
    """
    fields = _stat(pid)
    return None if fields is None or fields[_STATE] in "ZX" else int(fields[_BORN])


def command(pid: int) -> str:
    """What the process was started as."""
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "gone"
    return text.replace(b"\0", b" ").decode(errors="replace")[:200]


def descendants(ancestor: int) -> list[int]:
    """All processes below this one, zombies too."""
    children: dict[int, list[int]] = {}
    for pid in _all():
        fields = _stat(pid)
        if fields is not None:
            children.setdefault(int(fields[_PARENT]), []).append(pid)
    found = list(children.get(ancestor, []))
    for pid in found:  # grows on the way
        found += children.get(pid, [])
    return found


def holders(file: int, pids: list[int]) -> list[int]:
    """Those of the processes that have the file behind this descriptor open."""
    wanted = os.fstat(file)
    return [
        pid for pid in pids if any(os.path.samestat(wanted, status) for status in _open_files(pid))
    ]


def _open_files(pid: int) -> Iterator[os.stat_result]:
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                yield descriptor.stat()
            except OSError:  # closed in the meantime, or nothing that has a status
                continue
    except OSError:  # gone in the meantime
        return


def _all() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()  # a name may hold anything
