"""All checks, ordered so that each runs after those it depends on."""

import errno
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from dataart_mp.cli.doctor.container import CONTAINER, check_container
from dataart_mp.cli.doctor.delivery import EVENT, send_event
from dataart_mp.cli.doctor.descriptors import DESCRIPTORS, RAISE_LIMIT, check_descriptors
from dataart_mp.cli.doctor.finding import FailedError, Finding, Outcome, skipped
from dataart_mp.cli.doctor.memory import MEMORY, SHARED_MEMORY, check_memory, check_shared_memory
from dataart_mp.cli.doctor.route import CONNECTION, HTTP, check_route
from dataart_mp.cli.doctor.spool import SPOOL, check_spool
from dataart_mp.config import ClientConfig
from dataart_mp.errors import DataArtError

_LOCAL_CHECKS: Final = {
    SPOOL: check_spool,
    MEMORY: check_memory,
    SHARED_MEMORY: check_shared_memory,
    DESCRIPTORS: check_descriptors,
    CONTAINER: check_container,
}
_REMEDIES: Final[Mapping[int | None, str]] = {
    errno.EFBIG: "raise the limit of file sizes: ulimit -f unlimited; systemd: LimitFSIZE=",
    errno.EMFILE: RAISE_LIMIT,
    errno.ENFILE: "raise the limit of open files of all processes: sysctl fs.file-max",
    errno.ENOMEM: "raise the container's memory limit, or ulimit -v",
    errno.ENOSPC: "free disk space: df -h",
}


def checkup(config: ClientConfig, timeout: float, *, event: bool) -> Iterator[Finding]:
    """Run all checks.

    Args:
        config: The configuration of the client.
        timeout: Seconds that each network step may take.
        event: Whether to send an event.
    """
    is_other = False
    for finding in _until_failure(CONNECTION, lambda: check_route(config, timeout)):
        is_other |= finding.check == HTTP and finding.outcome is Outcome.FAILURE
        yield finding
    if is_other:
        yield skipped(EVENT, "the platform is not there: see the HTTP check")
    elif event:
        yield from _until_failure(EVENT, lambda: send_event(config, timeout))
    else:
        yield skipped(EVENT, "--no-event was given, so the API key is not checked either")
    for name, check in _LOCAL_CHECKS.items():
        yield from _until_failure(name, lambda check=check: iter([check(config)]))  # type: ignore[misc]


def _until_failure(name: str, steps: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield the findings of steps up to the first failure.

    Args:
        name: The check that an unexpected error is attributed to.
        steps: Runs the steps.
    """
    try:
        yield from steps()
    except FailedError as failed:
        yield failed.finding
    except (OSError, DataArtError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__  # of a refused client
        number = cause.errno if isinstance(cause, OSError) else None
        remedy = _REMEDIES.get(number, "see the other checks, and the workers' messages above")
        yield FailedError(name, str(error), remedy).finding
