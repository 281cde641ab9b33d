"""Checks what is left of pending events when process 1 of a container ends."""

from pathlib import Path
from typing import Final

from dataart_mp import ClientConfig
from dataart_mp.cli.doctor.finding import Finding, ok, warning

CONTAINER: Final = "container"

# The kernel gives this inode to the namespace of process ids that exists from the boot on.
_INITIAL_NAMESPACE: Final = "pid:[4026531836]"
_INIT_ADVICE: Final = "; --init (docker) also reaps ended processes"


def check_container(config: ClientConfig, root: Path = Path("/")) -> Finding:
    """Find out whether the workers can outlive the application.

    Args:
        config: The configuration of the client.
        root: The directory that contains `proc`.
    """
    try:
        namespace = (root / "proc/self/ns/pid").readlink().name
    except OSError:  # not Linux
        return ok(CONTAINER, "no: workers outlive the application")
    if namespace == _INITIAL_NAMESPACE:
        return ok(CONTAINER, "no: workers outlive the application")
    end = "yes: when its process 1 ends, the workers end too"
    if config.spool_dir is None:
        remedy = "put spool_dir on a volume, or close the client before the container stops"
        return warning(CONTAINER, f"{end}, and pending events are lost", remedy + _INIT_ADVICE)
    if _is_on_root_file_system(Path(config.spool_dir), root):
        detail = f"{end}, and {config.spool_dir} is part of the container, which may be deleted"
        return warning(CONTAINER, detail, "put spool_dir on a volume" + _INIT_ADVICE)
    return ok(CONTAINER, f"{end}; the next client on {config.spool_dir} sends what is pending")


def _is_on_root_file_system(directory: Path, root: Path) -> bool:
    existing = next(each for each in (directory, *directory.parents) if each.exists())
    return existing.stat().st_dev == root.stat().st_dev
