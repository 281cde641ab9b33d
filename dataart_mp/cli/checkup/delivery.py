"""The key, and one event through a real client and a worker process of its own."""

import dataclasses
import time
import warnings
from collections.abc import Iterator
from typing import Final

from dataart_mp import Client, ClientConfig
from dataart_mp.cli.checkup.finding import FailedError, Finding, ok
from dataart_mp.failure import Failure

KEY: Final = "API key"
EVENT: Final = "test event"
EVENT_KEY: Final = "dataart-mp-doctor"
"""The key, and the user's key, of the event that is sent."""

_REFUSED: Final = frozenset({401, 403})
_NOT_FOUND: Final = 404


def send_one(config: ClientConfig, timeout: float) -> Iterator[Finding]:
    """Send one event, once, past the spool.

    Args:
        config: Where to, and how.
        timeout: Seconds to wait for it.

    Raises:
        FailedError: It did not arrive.
    """
    failures: list[Failure] = []
    once = dataclasses.replace(
        config, flush_num_retries=0, spool_dir=None, on_failure=failures.append
    )
    start = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a way in the clear; route tells of it
        client = Client(once)
    client.emit_action(EVENT_KEY, EVENT_KEY, is_anonymous_user=True)
    pending = client.close(timeout)
    if client.stats().delivered:
        yield ok(KEY, "the platform takes it")
        yield ok(EVENT, f"delivered in {time.monotonic() - start:.2f} s")
    elif pending:
        remedy = "see what the workers say above; a slow platform: --timeout"
        raise FailedError(EVENT, f"not settled in {timeout:g} s", remedy)
    else:
        yield from _judge(failures[0] if failures else None)


def _judge(failure: Failure | None) -> Iterator[Finding]:
    if failure is None:
        raise FailedError(EVENT, "not delivered", "see what the workers say above")
    answer = f": {failure.answer!r}" if failure.answer else ""
    if failure.status is None:
        raise FailedError(EVENT, f"no answer{answer}", "see the checks above")
    detail = f"status {failure.status}{answer}"
    if failure.status in _REFUSED:
        remedy = "copy it again from the platform's project: DATAART_API_KEY, --api-key-file"
        raise FailedError(KEY, detail, remedy)
    yield ok(KEY, "not refused")
    if failure.status == _NOT_FOUND:
        raise FailedError(EVENT, detail, "is the path in base_url right?")
    raise FailedError(EVENT, detail, "the platform's own trouble: try again later, or tell them")
