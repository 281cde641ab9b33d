"""All checks, in the order in which one needs the other."""

from collections.abc import Callable, Iterator

from dataart_mp.cli.checkup.delivery import EVENT, send_one
from dataart_mp.cli.checkup.finding import FailedError, Finding, skipped
from dataart_mp.cli.checkup.machine import (
    check_descriptors,
    check_memory,
    check_shared_memory,
    check_spool,
)
from dataart_mp.cli.checkup.route import walk
from dataart_mp.config import ClientConfig


def checkup(config: ClientConfig, timeout: float, *, event: bool) -> Iterator[Finding]:
    """Look at everything.

    Args:
        config: A client's configuration.
        timeout: Seconds that each step of the network may take.
        event: Whether to send an event.
    """
    yield from _until_failed(lambda: walk(config, timeout))
    if event:
        yield from _until_failed(lambda: send_one(config, timeout))
    else:
        yield skipped(EVENT, "not asked for; so the key is not checked either")
    for check in (check_spool, check_memory, check_shared_memory, check_descriptors):
        yield from _until_failed(lambda check=check: iter([check(config)]))  # type: ignore[misc]


def _until_failed(steps: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from steps()
    except FailedError as failed:
        yield failed.finding
