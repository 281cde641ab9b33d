"""Checks the API key by sending one event through a real client and its worker process."""

import dataclasses
import time
import warnings
from collections.abc import Iterator
from typing import Final

from dataart_mp import Client, ClientConfig
from dataart_mp.cli.doctor.finding import FailedError, Finding, ok
from dataart_mp.failure import Failure

KEY: Final = "API key"
EVENT: Final = "test event"
EVENT_KEY: Final = "dataart-mp-doctor"
"""The key of the event that is sent, and its user key."""

_UNAUTHORIZED: Final = frozenset({401, 403})
_NOT_FOUND: Final = 404


def send_event(config: ClientConfig, timeout: float) -> Iterator[Finding]:
    """Send one event, without retries and without the spool.

    Args:
        config: The configuration of the client.
        timeout: Seconds to wait for the delivery.

    Raises:
        FailedError: The event was not delivered.
    """
    failures: list[Failure] = []
    single_try = dataclasses.replace(
        config, flush_num_retries=0, spool_dir=None, on_failure=failures.append
    )
    start = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about unencrypted connections; route reports them
        client = Client(single_try)
    client.emit_action(EVENT_KEY, EVENT_KEY, is_anonymous_user=True)
    pending = client.close(timeout)
    if client.stats().delivered:
        yield ok(KEY, "accepted by the platform")
        yield ok(EVENT, f"delivered in {time.monotonic() - start:.2f} s")
    elif pending:
        remedy = "see the workers' messages above; for a slow platform, raise --timeout"
        raise FailedError(EVENT, f"not settled within {timeout:g} s", remedy)
    else:
        yield from _explain(failures[0] if failures else None)


def _explain(failure: Failure | None) -> Iterator[Finding]:
    if failure is None:
        raise FailedError(EVENT, "not delivered", "see the workers' messages above")
    answer = f": {failure.answer!r}" if failure.answer else ""
    if failure.status is None:
        raise FailedError(EVENT, f"no answer{answer}", "see the checks above")
    detail = f"status {failure.status}{answer}"
    if failure.status in _UNAUTHORIZED:
        remedy = "copy the key from the platform's project to DATAART_API_KEY or --api-key-file"
        raise FailedError(KEY, detail, remedy)
    yield ok(KEY, "not rejected")
    if failure.status == _NOT_FOUND:
        raise FailedError(EVENT, detail, "check the path in base_url")
    raise FailedError(EVENT, detail, "the platform has a problem: try later, or contact its team")
