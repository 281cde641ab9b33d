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
# Statuses of a server that has no such endpoint, or expects another protocol.
_UNKNOWN: Final = frozenset({404, 405, 410, 421, 501, 505})
_TEMPORARY: Final = frozenset({408, 425, 429})
_UPGRADE: Final = 426
_REFUSED: Final = 400

_TRY_LATER: Final = "the platform has a problem: try later, or contact its team"
_OTHER_SERVER: Final = "this is not the platform: check the host and the path in base_url"
_REDIRECTED: Final = (
    "this is not the platform, or a login page is in between: check base_url; {}the client follows "
    "no redirect, because that would disclose the API key"
)


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
        config,
        flush_num_retries=0,
        spool_dir=None,
        sample_rate=1.0,  # else the event might be left out
        on_failure=failures.append,
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
        yield from _explain(failures[0] if failures else None, config.base_url)


def _explain(failure: Failure | None, base_url: str) -> Iterator[Finding]:
    if failure is None:
        raise FailedError(EVENT, "not delivered", "see the workers' messages above")
    answer = f": {failure.answer!r}" if failure.answer else ""
    if failure.status is None:
        raise FailedError(EVENT, f"no answer{answer}", "see the checks above")
    detail = f"status {failure.status}{answer}"
    if failure.status in _UNAUTHORIZED and not _is_web_page(failure):
        remedy = "copy the key from the platform's project to DATAART_API_KEY or --api-key-file"
        raise FailedError(KEY, detail, remedy)
    remedy = remedy_for(failure, base_url)
    if remedy == _TRY_LATER:
        yield ok(KEY, "not rejected")
    raise FailedError(EVENT, detail, remedy)


def remedy_for(failure: Failure, base_url: str) -> str:
    """Return what to do about a response that is neither a success nor about the API key.

    Args:
        failure: The failure of the test event; it has a status.
        base_url: The URL that the event was sent to.
    """
    status = failure.status or 0
    is_plain = base_url.startswith("http:")
    if status == _UPGRADE or (status == _REFUSED and is_plain and "HTTPS" in failure.answer):
        return f"use https:// in base_url: https://{base_url.partition('://')[2]}"
    if 300 <= status < 400:
        return _REDIRECTED.format("try https://; " if is_plain else "")
    if status < 200 or status in _UNKNOWN or (status < 500 and _is_web_page(failure)):
        return _OTHER_SERVER
    if status >= 500 or status in _TEMPORARY:
        return _TRY_LATER
    return "the platform refuses the test event: check that base_url is the platform's"


def _is_web_page(failure: Failure) -> bool:
    return failure.answer.lstrip().startswith("<")
