"""Accounting: the balance of all records, read while all processes continue to work.

A parked batch stays in `parked.db` until it is delivered, also while a frame sends it. So it counts
as parked for all that time, not as pending, and one store, that of the state SETTLED, moves it from
parked to delivered. One that another client has parked does not count here before that store.
"""

import math
from datetime import UTC, datetime
from typing import Any, Final

from dataart_mp import clock
from dataart_mp.queue.account import ACCEPTED, DELIVERED, FAILED, PARKED, REJECTED, WORD_MASK
from dataart_mp.queue.arena import Arena
from dataart_mp.queue.counters import (
    BYTES,
    DROPPED_FULL,
    HOOK_REASONS,
    HOOK_ROWS,
    REQUESTS,
    RETRIES,
    THROTTLED,
    Counters,
)
from dataart_mp.queue.reading import read, read_all
from dataart_mp.queue.status import Delivery, Status
from dataart_mp.stats import Stats

MOST_CONCURRENCY: Final = 4096


def balance(arena: Arena, counters: Counters) -> Stats:
    """Return the balance over all processes, dead ones included, since the arena was made.

    Frames that change while they are read are read after the other ones. Meanwhile records may
    move from a frame that was read to one that was not, through the parking lot or with the frame
    that they were joined to. Then they are pending in the first frame, and what they became in the
    second one is negative there: a total below zero counts records that are pending twice.

    Args:
        arena: The arena.
        counters: Its counters.
    """
    sums, pending, oldest, _ = read_all(arena)
    outcomes = dict.fromkeys((DELIVERED, PARKED), 0)
    for column in outcomes:
        total = _signed(sums[column])
        outcomes[column] = max(0, total)
        pending += min(0, total)
    dropped = _dropped(arena, counters)
    return Stats(
        accepted=(sums[ACCEPTED] & WORD_MASK) + sum(dropped.values()),
        delivered=outcomes[DELIVERED],
        pending=pending,
        dropped=dropped,
        rejected=sums[REJECTED] & WORD_MASK,
        failed=sums[FAILED] & WORD_MASK,
        parked=outcomes[PARKED],
        retries=counters.total(RETRIES),
        requests=counters.total(REQUESTS),
        throttled=counters.total(THROTTLED),
        concurrency=_concurrency(arena),
        bytes=counters.total(BYTES),
        **_of_this_moment(arena, oldest if pending > 0 else 0),
    )


def _dropped(arena: Arena, counters: Counters) -> dict[str, int]:
    """Return the number of dropped events by reason, without reasons that have not occurred."""
    hooks = Counters(arena, HOOK_ROWS)
    counts = {"buffer full": counters.total(DROPPED_FULL)}
    counts |= {reason: hooks.total(column) for column, reason in HOOK_REASONS.items()}
    return {reason: count for reason, count in counts.items() if count}


def _of_this_moment(arena: Arena, oldest: int) -> dict[str, Any]:
    """Return the attributes of `Stats` that describe a moment.

    Args:
        arena: The arena.
        oldest: When the oldest pending record came, by `clock.now`; 0 if that is unknown.
    """
    status = Status(arena)
    free = arena.free()
    live = [row for row in status.rows() if arena.is_worker_alive(row)]
    deliveries = [status.delivery(is_identity) for is_identity in (False, True)]
    error = status.error
    return {
        "oldest_pending_seconds": (clock.now() - oldest) / 1e9 if oldest else None,
        "frames_in_use": arena.frames - free,
        "frames_free": free,
        "workers": len(live),
        "in_flight": sum(row.in_flight for row in live),
        **_circuit(deliveries),
        "last_error": error.text if error else None,
        "last_error_at": _time(error.at) if error else None,
    }


def _circuit(deliveries: list[Delivery]) -> dict[str, Any]:
    """Return the state of the circuits of all endpoints as one: of those open, the first."""
    opened = [each.open_since for each in deliveries if each.open_since]
    failing = [each.failing_since for each in deliveries if each.failing_since]
    since = min(opened) if opened else max(each.closed_at for each in deliveries)
    return {
        "circuit": "open" if opened else "closed",
        "circuit_since": _time(since) if since else None,
        "failing_since": _time(min(failing)) if failing else None,
    }


def _time(epoch_ns: int) -> datetime:
    return datetime.fromtimestamp(epoch_ns / 1e9, UTC)


def _concurrency(arena: Arena) -> int:
    limit = arena.flow[0]
    # In a file that was damaged it may be anything, until a worker begins.
    return math.ceil(limit) if 0 < limit <= MOST_CONCURRENCY else 0


def pending_in(arena: Arena, *frames: int) -> int:
    """Return how many records of some frames are not settled yet."""
    return read(arena, sorted(frames)).pending


def parked_at_rest(arena: Arena) -> int:
    """Return how many records this client has parked, without those that frames send again."""
    reading = read_all(arena)
    return max(0, _signed(reading.totals[PARKED] - reading.taken))


def _signed(total: int) -> int:
    """Return a sum of words, some of which were negative, modulo 2**64."""
    word = total & WORD_MASK
    return word if word <= WORD_MASK >> 1 else word - WORD_MASK - 1
