"""All checks, in the order in which one needs the other."""

import errno
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from dataart_mp.cli.checkup.delivery import EVENT, send_one
from dataart_mp.cli.checkup.finding import FailedError, Finding, skipped
from dataart_mp.cli.checkup.machine import (
    DESCRIPTORS,
    MEMORY,
    MORE_DESCRIPTORS,
    SHARED_MEMORY,
    SPOOL,
    check_descriptors,
    check_memory,
    check_shared_memory,
    check_spool,
)
from dataart_mp.cli.checkup.route import CONNECTION, walk
from dataart_mp.config import ClientConfig
from dataart_mp.errors import DataArtError

_OF_THE_MACHINE: Final = {
    SPOOL: check_spool,
    MEMORY: check_memory,
    SHARED_MEMORY: check_shared_memory,
    DESCRIPTORS: check_descriptors,
}
_REMEDIES: Final[Mapping[int | None, str]] = {
    errno.EFBIG: "let files be larger: ulimit -f unlimited; systemd: LimitFSIZE=",
    errno.EMFILE: MORE_DESCRIPTORS,
    errno.ENFILE: "let all processes open more: sysctl fs.file-max",
    errno.ENOMEM: "raise the container's limit of memory, or ulimit -v",
    errno.ENOSPC: "make room: df -h",
}


def checkup(config: ClientConfig, timeout: float, *, event: bool) -> Iterator[Finding]:
    """Look at everything.

    Args:
        config: A client's configuration.
        timeout: Seconds that each step of the network may take.
        event: Whether to send an event.
    """
    yield from _until_failed(CONNECTION, lambda: walk(config, timeout))
    if event:
        yield from _until_failed(EVENT, lambda: send_one(config, timeout))
    else:
        yield skipped(EVENT, "not asked for; so the key is not checked either")
    for name, check in _OF_THE_MACHINE.items():
        yield from _until_failed(name, lambda check=check: iter([check(config)]))  # type: ignore[misc]


def _until_failed(name: str, steps: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Go on until a step fails; what it did not foresee is a failure of that name."""
    try:
        yield from steps()
    except FailedError as failed:
        yield failed.finding
    except (OSError, DataArtError) as error:
        number = error.errno if isinstance(error, OSError) else None
        remedy = _REMEDIES.get(number, "see the other checks, and what the workers say above")
        yield FailedError(name, str(error), remedy).finding
