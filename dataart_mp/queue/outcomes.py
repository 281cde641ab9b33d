"""Outcomes: notes on records that were settled without being delivered, for their producers.

    worker ── note ──► the latest notes, in the arena ── read ──► the producer of the records

The totals of a frame do not say which filling they come from, and a frame that was joined to
another one counts all its records as delivered. So a worker also writes a note, which names the
frame, its generation and the records, before the step that makes it true: a producer that sees a
frame settled finds all notes on it. A process that dies in between leaves a note on records that
another one sends again. That one repeats the note, or writes one that takes it back (DELIVERED).

The arena holds the latest notes only. A producer that was stopped while more were written finds out
that it has missed some. It reads them before it fills a frame again, so a frame and a generation
are enough to know its own.
"""

import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from dataart_mp.queue import joining
from dataart_mp.queue.arena import JOINED, NOTE_COUNT, Arena
from dataart_mp.queue.deadline import Deadline
from dataart_mp.queue.locks import NOTES

_WAIT_SECONDS = 0.5
_PAUSE_SECONDS: Final = 0.0005

_GENERATION_BITS: Final = 40
_GENERATION_MASK: Final = (1 << _GENERATION_BITS) - 1
_RECORD_BITS: Final = 20
_RECORD_MASK: Final = (1 << _RECORD_BITS) - 1


class Note(NamedTuple):
    """What became of some records of one filling of a frame.

    Attributes:
        frame: The number of the frame.
        generation: Its generation then.
        first: The number of the first of these records in the frame, from 0.
        number: How many they are; they follow each other.
        outcome: DELIVERED, REJECTED, FAILED or PARKED; see `account`.
    """

    frame: int
    generation: int
    first: int
    number: int
    outcome: int


def note(arena: Arena, frame: int, first: int, count: int, outcome: int) -> None:
    """Note what becomes of some records of a frame, and of those that were joined to it.

    Args:
        arena: The arena.
        frame: The frame, which the caller owns.
        first: The number of the first record in its content.
        count: How many records.
        outcome: As in `Note`.
    """
    account = arena.account(frame)
    if account.taken:  # its producer has been informed when they were parked
        return
    account.noted = account.generation  # else a death before the next step would leave it in force
    for each in _by_frame(arena, frame, first, count, outcome):
        _append(arena, each)


def read(arena: Arena, start: int, head: int) -> tuple[list[Note], bool]:
    """Return the notes from number `start` up to `head`, and whether some of them are missing."""
    oldest = max(start, head - NOTE_COUNT)
    notes = [(number, _load(arena, number)) for number in range(oldest, head)]
    # Those that were overwritten meanwhile, or are at this moment.
    intact = arena.note_head + 1 - NOTE_COUNT
    return [each for number, each in notes if number >= intact], max(oldest, intact) > start


def _by_frame(arena: Arena, leader: int, first: int, count: int, outcome: int) -> Iterator[Note]:
    """Divide records of a leader's content among the frames that count them."""
    end, own = first + count, arena.account(leader).count
    if first < own:
        yield Note(leader, arena.generation(leader), first, min(end, own) - first, outcome)
    if end <= own:
        return
    for follower in arena.all_in(JOINED):
        if not joining.follows(arena, follower, leader):
            continue
        account = arena.account(follower)
        start = arena.content(leader, 0, account.joined_at).count(b"\n")
        low, high = max(first, start), min(end, start + account.count)
        if low < high:
            yield Note(follower, account.generation, low - start, high - low, outcome)


class _Holder:
    """Holds the lock of those that write. When an exception ends it, the lock counts as lost."""


def _append(arena: Arena, entry: Note) -> None:
    holder, deadline = _Holder(), Deadline(_WAIT_SECONDS)
    while not arena.locks.acquire(NOTES, holder):
        if deadline.over():  # its holder was stopped in the middle of a few stores
            arena.notes_lost += 1
            return
        time.sleep(_PAUSE_SECONDS)
    try:
        head = arena.note_head
        at = arena.note_at(head)
        frame, generation, first, number, outcome = entry
        arena.words[at] = frame << _GENERATION_BITS | generation & _GENERATION_MASK
        arena.words[at + 1] = outcome << 2 * _RECORD_BITS | number << _RECORD_BITS | first
        arena.note_head = head + 1  # last: a note that a death has torn is overwritten
    finally:
        arena.locks.release(NOTES)


def _load(arena: Arena, number: int) -> Note:
    at = arena.note_at(number)
    claim, records = arena.words[at], arena.words[at + 1]
    return Note(
        claim >> _GENERATION_BITS,
        claim & _GENERATION_MASK,
        records & _RECORD_MASK,
        records >> _RECORD_BITS & _RECORD_MASK,
        records >> 2 * _RECORD_BITS,
    )
