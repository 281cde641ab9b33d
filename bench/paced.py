"""A client under a steady load, and what of it arrives at a sink that counts.

It does not import dataart_mp, which is not installed where other clients are measured.

      warm-up       measured           the last events arrive
    ├─────────┼────────────────────┼────────────────────────────►
    └──── events at a steady rate ─┘
"""

import json
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any, Final

_SLICE_SECONDS: Final = 0.005
_WARM_UP: Final = 0.4  # of the time
# Longer than the interval after which any of the clients sends what is not a full batch.
_STALL_SECONDS: Final = 6.0
_DRAIN_SECONDS: Final = 15.0


def measure(url: str, emit: Callable[[], object], rate: float, seconds: float) -> dict[str, Any]:
    """Emit at a steady rate, and return what arrived.

    Args:
        url: The sink.
        emit: Emits an event.
        rate: Events in a second, unless `emit` takes longer.
        seconds: How long.
    """
    load = _Load(emit, rate)
    load.start()
    time.sleep(seconds * _WARM_UP)
    before, start, emitted = _counts(url), time.monotonic(), load.emitted
    time.sleep(seconds * (1 - _WARM_UP))
    after, end, emitted = _counts(url), time.monotonic(), load.emitted - emitted
    load.stop()
    missing = load.emitted - _wait_for(url, load.emitted)
    passed = end - start
    accepted = after["accepted"] - before["accepted"]
    refused = after["refused"] - before["refused"]
    events = after["events"] - before["events"]
    return {
        "emitted_per_second": emitted / passed,
        "events_per_second": events / passed,
        "requests_per_second": accepted / passed,
        "events_per_request": events / max(1, accepted),
        "wasted_percent": 100 * refused / max(1, accepted + refused),
        "missing_percent": 100 * missing / max(1, load.emitted),
        "most_in_flight": after["most"],
    }


class _Load:
    """A thread that emits at a steady rate."""

    def __init__(self, emit: Callable[[], object], rate: float) -> None:
        self.emitted = 0
        self._emit = emit
        self._rate = rate
        self._is_over = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_over = True
        self._thread.join()

    def _run(self) -> None:
        emit, start = self._emit, time.monotonic()
        while not self._is_over:
            due = int(self._rate * (time.monotonic() - start)) - self.emitted
            # A client that cannot take so much is not asked to make up for it later.
            for _ in range(min(due, int(self._rate * _SLICE_SECONDS * 4) + 1)):
                emit()
                self.emitted += 1
            if due <= 0:
                time.sleep(_SLICE_SECONDS)


def _counts(url: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{url}/stats") as response:
        counts: dict[str, int] = json.load(response)
    return counts


def _wait_for(url: str, events: int) -> int:
    """Return how many events have arrived when all have, or when no more arrive."""
    last, since = -1, time.monotonic()
    deadline = since + _DRAIN_SECONDS
    while (arrived := _counts(url)["events"]) < events and time.monotonic() < deadline:
        if arrived != last:
            last, since = arrived, time.monotonic()
        elif time.monotonic() - since > _STALL_SECONDS:
            break
        time.sleep(0.05)
    return arrived
