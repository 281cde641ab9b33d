"""Checks what the end of a container does to pending events.

When process 1 of a container ends, for whatever reason, the kernel kills all other processes in it
at once, the workers included. Only files on a volume outlive that.
"""

import os
from pathlib import Path
from typing import Final

from dataart_mp import ClientConfig
from dataart_mp.cli.doctor.finding import Finding, ok, skipped, warning

CONTAINER: Final = "container"

# The kernel gives this number to the host's namespace of process ids.
_HOST_NAMESPACE: Final = "pid:[4026531836]"
_VOLUME: Final = "mount a volume, and set DATAART_SPOOL_DIR to a directory on it"
_INIT: Final = (
    "start the container with --init (Kubernetes: shareProcessNamespace: true), so that SIGTERM "
    "ends the application in order"
)
_INITS: Final = frozenset({"catatonit", "docker-init", "dumb-init", "pause", "s6-svscan", "tini"})
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})


def check_container(config: ClientConfig, root: Path = Path("/")) -> Finding:
    """Check that pending events outlive process 1 of a container, with which the workers end.

    Args:
        config: The configuration of the client.
        root: The directory that contains `proc`.
    """
    if not _has_namespace(root):
        return skipped(CONTAINER, "none: the workers outlive the application")
    init = _process_1(root)
    detail = f"the workers are killed when process 1 of this container ({init}) ends"
    if config.spool_dir is None:
        remedy = _VOLUME if init in _INITS else f"{_VOLUME}; {_INIT}"
        return warning(CONTAINER, f"{detail}; pending events are lost then", remedy)
    if not _is_on_volume(root, Path(config.spool_dir)):
        problem = f"{detail}; the spool {config.spool_dir} is not on a volume"
        return warning(CONTAINER, problem, _VOLUME)
    kept = f"{detail}; pending events stay in the spool, which is on a volume"
    return ok(CONTAINER, kept) if init in _INITS else warning(CONTAINER, kept, _INIT)


def _has_namespace(root: Path) -> bool:
    """Return whether this process is in a namespace of process ids that is not the host's."""
    try:
        return str((root / "proc/self/ns/pid").readlink()) != _HOST_NAMESPACE
    except OSError:  # not Linux
        return False


def _process_1(root: Path) -> str:
    try:
        return (root / "proc/1/comm").read_text(errors="replace").strip()
    except OSError:  # /proc is not mounted
        return "unknown"


def _is_on_volume(root: Path, folder: Path) -> bool:
    """Return whether a directory is on a file system that was mounted into the container."""
    try:
        lines = (root / "proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return True  # unknown, so nothing to warn about
    place = Path(os.path.realpath(folder))
    found, kind = Path("/"), ""
    for line in lines:
        # 36 35 98:0 /root /mount/point rw,noatime master:1 - ext4 /dev/sda1 rw
        mount, _, rest = line.partition(" - ")
        point = Path(mount.split()[4].replace("\\040", " "))
        if place.is_relative_to(point) and len(point.parts) >= len(found.parts):
            found, kind = point, rest.split()[0]
    return found != Path("/") and kind not in _IN_MEMORY
