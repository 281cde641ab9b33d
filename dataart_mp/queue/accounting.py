"""Accounting: the balance of all records, read while all processes continue to work.

A parked batch stays in `parked.db` until it is delivered, also while a frame sends it. So it counts
as parked for all that time, not as pending, and one store, that of the state SETTLED, moves it from
parked to delivered. One that another client has parked does not count here before that store.
"""

import math
import time
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from dataart_mp import clock
from dataart_mp.queue.account import (
    ACCEPTED,
    DELIVERED,
    FAILED,
    PARKED,
    REJECTED,
    TOTALS,
    WORD_MASK,
    Account,
)
from dataart_mp.queue.arena import FILLING, FREE, JOINED, SETTLED, Arena
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
from dataart_mp.queue.frame_writer import filled
from dataart_mp.queue.status import Delivery, Status
from dataart_mp.stats import Stats

MOST_CONCURRENCY: Final = 4096
_FRAMES_BEFORE_A_PAUSE: Final = 32  # to read them takes about half a millisecond


class _Reading(NamedTuple):
    """What one frame holds and held, of one moment.

    Attributes:
        totals: The five totals, of what it holds, too.
        pending: Its records that are pending.
        opened: When the first of them came, by `clock.now`; 0 if none is pending.
        taken: Its records that are parked, and that it sends again.
    """

    totals: list[int]
    pending: int
    opened: int
    taken: int


_NEVER_USED: Final = _Reading([0] * TOTALS, 0, 0, 0)


def balance(arena: Arena, counters: Counters, pause: float = 0.0) -> Stats:
    """Return the balance over all processes, dead ones included, since the arena was made.

    Frames are read one after another. Meanwhile records may move from a frame that was read to one
    that was not, through the parking lot or with the frame that they were joined to. Then they
    are pending in the first frame, and what they became in the second one is negative there: a
    total below zero counts records that are pending twice.

    Args:
        arena: The arena.
        counters: Its counters.
        pause: Seconds to sleep before each 32 frames, so that an event loop in another thread does
            not wait for the interpreter for milliseconds; 0: do not sleep.
    """
    sums = [0] * TOTALS
    pending = oldest = 0
    for frame in range(arena.frames):
        if pause and not frame % _FRAMES_BEFORE_A_PAUSE:
            time.sleep(pause)
        reading = _read(arena, frame)
        pending += reading.pending
        if reading.opened:
            oldest = min(oldest or reading.opened, reading.opened)
        for column, amount in enumerate(reading.totals):
            sums[column] += amount
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
        "oldest_pending_seconds": max(0, clock.now() - oldest) / 1e9 if oldest else None,
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


def pending_in(arena: Arena, frame: int) -> int:
    """Return how many records of a frame are not settled yet."""
    return _read(arena, frame).pending


def parked_at_rest(arena: Arena) -> int:
    """Return how many records this client has parked, without those that frames send again."""
    readings = (_read(arena, frame) for frame in range(arena.frames))
    return max(0, _signed(sum(each.totals[PARKED] - each.taken for each in readings)))


def _read(arena: Arena, frame: int) -> _Reading:
    """Return what one frame holds and held, of one moment."""
    if not arena.generation(frame):
        return _NEVER_USED
    account = arena.account(frame)
    while True:
        generation, state = account.generation, arena.state(frame)
        if state in (FREE, SETTLED):
            reading = _Reading(account.closing(), 0, 0, 0)
        elif account.taken:  # all of it is still parked
            own = 0 if state == FILLING or account.adopted else account.count
            reading = _Reading(account.opening(), 0, 0, own)
        else:
            reading = _unsettled(arena, frame, account, state)
        if (generation, state) == (account.generation, arena.state(frame)):
            return reading


def _unsettled(arena: Arena, frame: int, account: Account, state: int) -> _Reading:
    """Read a frame that holds pending records, or is about to."""
    totals = account.opening()
    pending = filled(arena, frame)[0] if state == FILLING else account.count
    totals[ACCEPTED] += pending
    # A follower counts with its leader; in a damaged file, the word may be anything.
    is_time = pending > 0 and state != JOINED and arena.frames < account.opened <= clock.now()
    return _Reading(totals, pending, account.opened if is_time else 0, 0)


def _signed(total: int) -> int:
    """Return a sum of words, some of which were negative, modulo 2**64."""
    word = total & WORD_MASK
    return word if word <= WORD_MASK >> 1 else word - WORD_MASK - 1
