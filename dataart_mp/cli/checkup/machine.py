"""What this machine, or the container on it, allows: the spool, memory, descriptors."""

import dataclasses
import os
import resource
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Final

from dataart_mp import Client, ClientConfig
from dataart_mp.cli.checkup.finding import FailedError, Finding, ok, skipped, warning
from dataart_mp.errors import ConfigError
from dataart_mp.spool.arenas import Spool
from dataart_mp.spool.dead_letters import DeadLetters

SPOOL: Final = "spool"
MEMORY: Final = "memory"
SHARED_MEMORY: Final = "shared memory"
DESCRIPTORS: Final = "descriptors"
MORE_DESCRIPTORS: Final = "ulimit -n 1024; systemd: LimitNOFILE=; docker: --ulimit nofile=1024"
"""What to do when a process may not open enough."""

_MIB: Final = 1024 * 1024
_WORKER_BYTES: Final = 20 * _MIB  # an interpreter with urllib3, of which it shares a part
_WORKER_DESCRIPTORS: Final = 32  # besides its connections
_CLIENT_DESCRIPTORS: Final = 16
_NO_LIMIT: Final = 1 << 60  # version 1 writes a number near 2⁶³ for none


def check_spool(config: ClientConfig) -> Finding:
    """Make a spool within the spool, as large as the real one, and look for dead letters.

    Raises:
        FailedError: A client could not use it.
    """
    folder = config.spool_dir
    if folder is None:
        return skipped(SPOOL, "none is set: what is pending dies with the machine")
    try:
        Spool(Path(folder))
        trial = tempfile.mkdtemp(prefix="doctor-", dir=folder)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a way in the clear
                Client(dataclasses.replace(config, spool_dir=Path(trial))).close(0)
        finally:
            shutil.rmtree(trial)
    except ConfigError as error:
        raise FailedError(
            SPOOL, str(error), "or name another directory: DATAART_SPOOL_DIR"
        ) from None
    except OSError as error:
        remedy = "name another directory: DATAART_SPOOL_DIR"
        raise FailedError(SPOOL, f"{folder}: {error.strerror}", remedy) from None
    letters = sum(1 for _ in DeadLetters(Path(folder)))
    if letters:
        detail = f"{folder}: writable; {letters:,} requests were given up on"
        return warning(SPOOL, detail, f"see dataart-mp spool ls {folder}")
    return ok(SPOOL, f"{folder}: writable, with room for {_mib(buffer_bytes(config))}")


def check_memory(config: ClientConfig, root: Path = Path("/")) -> Finding:
    """Compare what a full buffer and the workers take with what the control group has left.

    Args:
        config: How large the buffer is.
        root: Where `proc` and `sys` are.
    """
    need = buffer_bytes(config) + config.num_processes * _WORKER_BYTES
    found = memory_left(root)
    if found is None:
        return ok(MEMORY, f"no limit; a full buffer and the workers take {_mib(need)}")
    limit, left = found
    told = f"{_mib(left)} left of {_mib(limit)}"
    if left < need:
        remedy = "raise the container's limit, or lower flush_buffer_size or max_request_bytes"
        detail = f"{told}, and a full buffer and the workers take {_mib(need)}"
        return warning(MEMORY, detail, remedy)
    return ok(MEMORY, f"{told}; a full buffer and the workers take {_mib(need)}")


def memory_left(root: Path) -> tuple[int, int] | None:
    """The least limit of the control groups that this process is in, and what is left of it.

    Returns:
        Bytes; None: there is no limit, or no control group (of version 1 or 2).
    """
    found = [
        (limit, limit - used)
        for group in _memory_groups(root)
        if (limit := _number(group, "memory.max", "memory.limit_in_bytes")) is not None
        and (used := _number(group, "memory.current", "memory.usage_in_bytes")) is not None
    ]
    return min(found, key=lambda pair: pair[1], default=None)


def check_shared_memory(config: ClientConfig) -> Finding:
    """See whether there is memory to share, /dev/shm or not.

    Raises:
        FailedError: There is none.
    """
    need = buffer_bytes(config)
    if config.spool_dir is not None:
        return skipped(SHARED_MEMORY, "the buffer is a file in the spool")
    if hasattr(os, "memfd_create"):
        try:
            os.close(os.memfd_create("dataart_mp_doctor", os.MFD_CLOEXEC))
        except OSError as error:
            remedy = "allow memfd_create in the container's seccomp profile, or set a spool_dir"
            raise FailedError(SHARED_MEMORY, f"no memfd: {error.strerror}", remedy) from None
        return ok(SHARED_MEMORY, f"memfd{_dev_shm()}")
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    detail = f"{_mib(free)} free in {folder}, where the buffer takes up to {_mib(need)}"
    if free < need:
        raise FailedError(SHARED_MEMORY, detail, "make room, or set TMPDIR to where there is some")
    return ok(SHARED_MEMORY, detail)


def check_descriptors(config: ClientConfig, limit: int | None = None) -> Finding:
    """Compare what a process may open with what it needs.

    Args:
        config: How many connections there are.
        limit: How many it may open; None: what the kernel says.

    Raises:
        FailedError: They do not suffice.
    """
    if limit is None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return ok(DESCRIPTORS, "no limit")
    connections = -(-config.flush_num_workers // config.num_processes)
    need = max(connections + _WORKER_DESCRIPTORS, config.num_processes + _CLIENT_DESCRIPTORS)
    detail = f"a process may open {limit:,}; a worker opens up to {need:,}"
    if limit < need:
        raise FailedError(DESCRIPTORS, detail, MORE_DESCRIPTORS)
    return ok(DESCRIPTORS, detail)


def buffer_bytes(config: ClientConfig) -> int:
    """Bytes of a buffer all of whose frames are full."""
    return config.flush_buffer_size * config.max_request_bytes


def _memory_groups(root: Path) -> list[Path]:
    """The folders of this process's control groups, up to the topmost: a limit holds below it."""
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
        # In a container, the path may be the host's: then the topmost folder is the container's.
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
        size = shutil.disk_usage("/dev/shm").total  # noqa: S108 - looked at, not written to
    except OSError:
        return "; there is no /dev/shm, and none is needed"
    return f", which the {_mib(size)} of /dev/shm do not bound"


def _mib(number: int) -> str:
    return f"{number / _MIB:,.0f} MiB"
