"""What the kernel reports about processes, read from /proc."""

import os
from collections.abc import Iterator
from pathlib import Path

_STATE, _PARENT, _START_TIME = 0, 1, 19  # fields of /proc/PID/stat behind the name


def start_time(pid: int) -> int | None:
    """Return when the process started, in clock ticks; None if it does not exist or is a zombie.

    The process id and the start time together identify a process: they are never reused.
    """
    fields = _stat(pid)
    return None if fields is None or fields[_STATE] in "ZX" else int(fields[_START_TIME])


def command(pid: int) -> str:
    """Return the command line of the process."""
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "ended"
    return text.replace(b"\0", b" ").decode(errors="replace")[:200]


def descendants(ancestor: int) -> list[int]:
    """Return all descendants of this process, zombies included."""
    children: dict[int, list[int]] = {}
    for pid in _all():
        fields = _stat(pid)
        if fields is not None:
            children.setdefault(int(fields[_PARENT]), []).append(pid)
    found = list(children.get(ancestor, []))
    for pid in found:  # the list grows during the loop
        found += children.get(pid, [])
    return found


def holders(descriptor: int, pids: list[int]) -> list[int]:
    """Return those of the processes that have the file behind this descriptor open."""
    wanted = os.fstat(descriptor)
    return [
        pid for pid in pids if any(os.path.samestat(wanted, status) for status in _open_files(pid))
    ]


def _open_files(pid: int) -> Iterator[os.stat_result]:
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                yield descriptor.stat()
            except OSError:  # closed in the meantime, or without a status
                continue
    except OSError:  # the process has ended in the meantime
        return


def _all() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()  # a name may contain any character
