"""Checks the memory that this machine, or its container, allows."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from dataart_mp import ClientConfig
from dataart_mp.cli.doctor.finding import FailedError, Finding, ok, skipped, warning

MEMORY: Final = "memory"
SHARED_MEMORY: Final = "shared memory"

_MIB: Final = 1024 * 1024
_WORKER_BYTES: Final = 20 * _MIB  # an interpreter with urllib3; some of it is shared
_NO_LIMIT: Final = 1 << 60  # control groups v1 write a number near 2⁶³ for "no limit"


def check_memory(config: ClientConfig, root: Path = Path("/")) -> Finding:
    """Compare the memory of a full buffer and the workers with what the control group has left.

    Args:
        config: The configuration of the client.
        root: The directory that contains `proc` and `sys`.
    """
    need = buffer_bytes(config) + config.num_processes * _WORKER_BYTES
    usage = f"a full buffer and the workers take {mib(need)}"
    found = memory_left(root)
    if found is None:
        return ok(MEMORY, f"no limit; {usage}")
    limit, left = found
    detail = f"{mib(left)} left of {mib(limit)}; {usage}"
    if left < need:
        remedy = "raise the container's limit, or lower flush_buffer_size or max_request_bytes"
        return warning(MEMORY, detail, remedy)
    return ok(MEMORY, detail)


def memory_left(root: Path) -> tuple[int, int] | None:
    """Return the tightest memory limit of this process's control groups, and what is left of it.

    Args:
        root: The directory that contains `proc` and `sys`.

    Returns:
        Bytes of the limit, and bytes left; None: there is no limit, or no control group (v1 or v2).
    """
    found = [
        (limit, limit - used)
        for group in _memory_groups(root)
        if (limit := _number(group, "memory.max", "memory.limit_in_bytes")) is not None
        and (used := _number(group, "memory.current", "memory.usage_in_bytes")) is not None
    ]
    return min(found, key=lambda pair: pair[1], default=None)


def check_shared_memory(config: ClientConfig) -> Finding:
    """Check that the buffer can be allocated, with or without /dev/shm.

    Args:
        config: The configuration of the client.

    Raises:
        FailedError: It cannot.
    """
    need = buffer_bytes(config)
    if config.spool_dir is not None:
        return skipped(SHARED_MEMORY, "not needed: the buffer is a file in the spool")
    if hasattr(os, "memfd_create"):
        try:
            os.close(os.memfd_create("dataart_mp_doctor", os.MFD_CLOEXEC))
        except OSError as error:
            remedy = "allow memfd_create in the container's seccomp profile, or set a spool_dir"
            raise FailedError(SHARED_MEMORY, f"no memfd: {error.strerror}", remedy) from None
        return ok(SHARED_MEMORY, f"memfd{_dev_shm()}")
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    detail = f"{mib(free)} free in {folder}, where the buffer takes up to {mib(need)}"
    if free < need:
        raise FailedError(SHARED_MEMORY, detail, "free some, or set TMPDIR to another directory")
    return ok(SHARED_MEMORY, detail)


def buffer_bytes(config: ClientConfig) -> int:
    """Return the size in bytes of a buffer all of whose frames are full."""
    return config.flush_buffer_size * config.max_request_bytes


def mib(number: int) -> str:
    """Format a number of bytes in MiB."""
    return f"{number / _MIB:,.0f} MiB"


def _memory_groups(root: Path) -> list[Path]:
    """Return the directories of this process's control groups and of their ancestors.

    The limit of a group also applies to the groups in it.
    """
    groups: list[Path] = []
    mounted = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return []
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number != "0" and "memory" not in controllers.split(","):
            continue
        top = mounted if number == "0" else mounted / "memory"
        group = top / path.lstrip("/")
        # In a container the path may be the host's; then the topmost directory is the container's.
        groups += [folder for folder in (group, *group.parents) if folder.is_relative_to(top)]
    return groups


def _number(folder: Path, *names: str) -> int | None:
    for name in names:
        try:
            text = (folder / name).read_text().strip()
        except OSError:
            continue
        return int(text) if text.isdecimal() and int(text) < _NO_LIMIT else None
    return None


def _dev_shm() -> str:
    try:
        size = shutil.disk_usage("/dev/shm").total  # noqa: S108 - only its size is read
    except OSError:
        return "; /dev/shm does not exist and is not needed"
    return f", which does not use the {mib(size)} of /dev/shm"
