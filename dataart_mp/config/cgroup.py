"""The CPU quota of a control group: what `docker --cpus` or a Kubernetes limit sets.

A process may use all CPUs of the machine, but only for a part of each period. Both versions of
control groups are read; a group is bound by the quotas of all groups that contain it.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

_CPU: Final = "cpu"
_UNLIMITED: Final = "max"
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")
_PROC: Final = Path("/proc/self")


class _Mount(NamedTuple):
    """A mounted hierarchy of control groups.

    Attributes:
        root: The group that is mounted.
        point: The directory where it is mounted.
        version: 1 or 2.
    """

    root: PurePosixPath
    point: Path
    version: int


def cpu_quota(proc: Path = _PROC) -> float | None:
    """Return how many CPUs this process may use on average; None if there is no quota.

    Args:
        proc: The directory of this process in `/proc`.
    """
    quotas: list[float] = []
    with contextlib.suppress(OSError, ValueError):  # not Linux; or an unknown format
        groups = dict(_groups(proc))
        for mount in _mounts(proc):
            if mount.version in groups:
                quotas += _quotas(mount, groups[mount.version])
    return min(quotas, default=None)


def _groups(proc: Path) -> Iterator[tuple[int, PurePosixPath]]:
    """Yield the version of each hierarchy that may limit CPUs, and this process's group in it."""
    for line in _lines(proc / "cgroup"):
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            yield 2, PurePosixPath(path)
        elif _CPU in controllers.split(","):
            yield 1, PurePosixPath(path)


def _mounts(proc: Path) -> Iterator[_Mount]:
    for line in _lines(proc / "mountinfo"):
        place, _, system = line.partition(" - ")
        root, point = map(_unescaped, place.split()[3:5])
        kind, *_, options = system.split()
        if kind == "cgroup2":
            yield _Mount(PurePosixPath(root), Path(point), 2)
        elif kind == "cgroup" and _CPU in options.split(","):
            yield _Mount(PurePosixPath(root), Path(point), 1)


def _quotas(mount: _Mount, group: PurePosixPath) -> Iterator[float]:
    """Yield the quotas of a group and of those that contain it, as far as they are mounted."""
    # Seen from a container, a group may lie outside what is mounted: then the mount is the group.
    inside = group.relative_to(mount.root) if group.is_relative_to(mount.root) else PurePosixPath()
    for each in (inside, *inside.parents):
        with contextlib.suppress(OSError, ValueError):  # the root group has no such file
            quota = _quota(mount.point / each, mount.version)
            if quota is not None:
                yield quota


def _quota(directory: Path, version: int) -> float | None:
    if version == 1:
        quota = (directory / "cpu.cfs_quota_us").read_text().strip()
        period = (directory / "cpu.cfs_period_us").read_text().strip()
    else:
        quota, period = (directory / "cpu.max").read_text().split()
    if quota == _UNLIMITED or int(quota) <= 0 or int(period) <= 0:
        return None
    return int(quota) / int(period)


def _lines(file: Path) -> list[str]:
    return file.read_text(errors="surrogateescape").splitlines()


def _unescaped(path: str) -> str:
    """Return a path of `mountinfo`, where a blank is written as a backslash and `040`."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), path)
