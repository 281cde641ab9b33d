"""The balance: what became of all records, read while everybody goes on working."""

from dataart_mp.queue.arena import (
    ACCEPTED,
    ADOPTED,
    CLOSING,
    COLUMNS,
    COUNT,
    DELIVERED,
    FAILED,
    FILLING,
    FREE,
    GENERATION,
    OPENING,
    PARKED,
    REJECTED,
    SETTLED,
    TAKEN,
    WORD_MASK,
    Arena,
)
from dataart_mp.queue.counters import BYTES, DROPPED_FULL, REQUESTS, RETRIES, Counters
from dataart_mp.queue.frame_writer import filled
from dataart_mp.stats import Stats


def balance(arena: Arena, counters: Counters) -> Stats:
    """The balance sheet over all processes, dead ones too, since the arena was made.

    Frames are read one after the other, and meanwhile records may move from one that was read to
    one that was not: by way of the parking lot, or with the frame that they were joined to. So they
    stand as pending where they were, and what they become where they are now is taken off what was
    parked, or delivered. A total below zero is that of such records, which stand as pending twice.
    """
    sums = [0] * COLUMNS
    pending = 0
    for frame in range(arena.frames):
        account, waiting = _account(arena, frame)
        pending += waiting
        for column, amount in enumerate(account):
            sums[column] += amount
    totals = dict.fromkeys((DELIVERED, PARKED), 0)
    for column in totals:
        total = _signed(sums[column])
        totals[column] = max(0, total)
        pending += min(0, total)
    dropped = counters.total(DROPPED_FULL)
    return Stats(
        accepted=sums[ACCEPTED] + dropped,
        delivered=totals[DELIVERED],
        pending=pending,
        dropped={"buffer full": dropped} if dropped else {},
        rejected=sums[REJECTED],
        failed=sums[FAILED],
        parked=totals[PARKED],
        retries=counters.total(RETRIES),
        requests=counters.total(REQUESTS),
        bytes=counters.total(BYTES),
    )


def pending_in(arena: Arena, frame: int) -> int:
    """How many records of a frame are not settled yet."""
    return _account(arena, frame)[1]


def _account(arena: Arena, frame: int) -> tuple[list[int], int]:
    """One frame's totals and its pending records, from between two changes of owner."""
    words, account = arena.words, arena.account(frame)
    while True:
        generation, state = words[account + GENERATION], arena.state(frame)
        if not generation:
            return [0] * COLUMNS, 0
        if state in (FREE, SETTLED):
            sums, pending = _row(arena, account + CLOSING), 0
        else:
            sums = _row(arena, account + OPENING)
            taken = words[account + TAKEN]
            if state != FILLING:
                pending = words[account + COUNT]
            else:
                pending = 0 if taken else filled(arena, frame)[0]
            if taken and not words[account + ADOPTED]:
                sums[PARKED] -= pending
            else:
                sums[ACCEPTED] += pending
        if (generation, state) == (words[account + GENERATION], arena.state(frame)):
            return sums, pending


def _signed(total: int) -> int:
    """A sum of words, of which some were less than zero, modulo 2**64."""
    word = total & WORD_MASK
    return word if word <= WORD_MASK >> 1 else word - WORD_MASK - 1


def _row(arena: Arena, first: int) -> list[int]:
    return arena.words[first : first + COLUMNS].tolist()
