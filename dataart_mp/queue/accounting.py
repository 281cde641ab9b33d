"""Accounting: the balance of all records, read while all processes continue to work."""

import math
from typing import Final

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
from dataart_mp.queue.arena import FILLING, FREE, SETTLED, Arena
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
from dataart_mp.stats import Stats

MOST_CONCURRENCY: Final = 4096


def balance(arena: Arena, counters: Counters) -> Stats:
    """Return the balance over all processes, dead ones included, since the arena was made.

    Frames are read one after another. Meanwhile records may move from a frame that was read to one
    that was not, through the parking lot or with the frame that they were joined to. Then they
    are pending in the first frame, and what they became in the second one is negative there: a
    total below zero counts records that are pending twice.
    """
    sums = [0] * TOTALS
    pending = 0
    for frame in range(arena.frames):
        totals, waiting = _read(arena, frame)
        pending += waiting
        for column, amount in enumerate(totals):
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
    )


def _dropped(arena: Arena, counters: Counters) -> dict[str, int]:
    """Return the number of dropped events by reason, without reasons that have not occurred."""
    hooks = Counters(arena, HOOK_ROWS)
    counts = {"buffer full": counters.total(DROPPED_FULL)}
    counts |= {reason: hooks.total(column) for column, reason in HOOK_REASONS.items()}
    return {reason: count for reason, count in counts.items() if count}


def _concurrency(arena: Arena) -> int:
    limit = arena.flow[0]
    # In a file that was damaged it may be anything, until a worker begins.
    return math.ceil(limit) if 0 < limit <= MOST_CONCURRENCY else 0


def pending_in(arena: Arena, frame: int) -> int:
    """Return how many records of a frame are not settled yet."""
    return _read(arena, frame)[1]


def _read(arena: Arena, frame: int) -> tuple[list[int], int]:
    """Return one frame's totals and pending records, of one moment."""
    if not arena.generation(frame):  # never used
        return [0] * TOTALS, 0
    account = arena.account(frame)
    while True:
        generation, state = account.generation, arena.state(frame)
        if state in (FREE, SETTLED):
            totals, pending = account.closing(), 0
        else:
            totals = account.opening()
            pending = _unsettled(arena, frame, account, state)
            column, sign = (PARKED, -1) if account.taken and not account.adopted else (ACCEPTED, 1)
            totals[column] += sign * pending
        if (generation, state) == (account.generation, arena.state(frame)):
            return totals, pending


def _unsettled(arena: Arena, frame: int, account: Account, state: int) -> int:
    """Return the records of a frame that holds some, or is about to."""
    if state != FILLING:
        return account.count
    # What it is being filled from is still parked, and counted there.
    return 0 if account.taken else filled(arena, frame)[0]


def _signed(total: int) -> int:
    """Return a sum of words, some of which were negative, modulo 2**64."""
    word = total & WORD_MASK
    return word if word <= WORD_MASK >> 1 else word - WORD_MASK - 1
