"""A reading: what frames hold and held, read while all processes continue to work.

    generations and states ──► their words, column by column ──► generations and states
              ▲                                                            │
              └──────────── the frames in which they have changed ◄────────┘

So the words of a frame are of one moment, and no lock is taken. The words of many frames are read
together, because the thread that asks may be that of an event loop: one after another, a thousand
frames would take 8 ms.
"""

from collections.abc import Sequence
from itertools import compress
from typing import Final, NamedTuple

from dataart_mp import clock
from dataart_mp.queue.account import ACCEPTED, CLOSING, OPENING, TOTALS, Account, is_adopted
from dataart_mp.queue.arena import FILLING, FREE, JOINED, READY, SENDING, SETTLED, WAITING, Arena
from dataart_mp.queue.frame_writer import count_filled

# Pseudo-states: of a frame that holds what is parked, and of one that counts nothing.
_TAKEN: Final = 254
_LEFT_OUT: Final = 255
_WITH_CONTENT: Final = (FILLING, READY, SENDING, WAITING, JOINED)


def _mask(*states: int) -> bytes:
    """Return a table for `bytes.translate` that makes 1 of these states, and 0 of all others."""
    return bytes(state in states for state in range(256))


_SETTLED: Final = _mask(FREE, SETTLED)
_UNSETTLED: Final = _mask(*_WITH_CONTENT, _TAKEN)
_PENDING: Final = _mask(*_WITH_CONTENT)
_AGEING: Final = _mask(FILLING, READY, SENDING, WAITING)  # a follower counts with its leader


class Reading(NamedTuple):
    """What some frames hold and held, added up.

    Attributes:
        totals: The five totals, of what they hold, too.
        pending: Their records that are pending.
        opened: When the first of them came, by `clock.now`; 0 if none is pending.
        taken: Their records that are parked, and that they send again.
    """

    totals: list[int]
    pending: int
    opened: int
    taken: int

    def plus(self, other: "Reading") -> "Reading":
        """Return what these and other frames hold and held."""
        return Reading(
            [sum(amounts) for amounts in zip(self.totals, other.totals, strict=True)],
            self.pending + other.pending,
            min(filter(None, (self.opened, other.opened)), default=0),
            self.taken + other.taken,
        )


def read_all(arena: Arena) -> Reading:
    """Return what all frames hold and held; see `read`."""
    generations = arena.generations()
    while generations and not generations[-1]:  # the lowest frames are used first
        generations.pop()
    return read(arena, range(len(generations)))


def read(arena: Arena, frames: Sequence[int]) -> Reading:
    """Return what some frames hold and held.

    Frames that change meanwhile are read once more, after the other ones.

    Args:
        arena: The arena.
        frames: Their numbers, in ascending order.
    """
    span = range(frames[0], frames[-1] + 1) if frames else range(0)
    words, changed = _words_of(arena, span)
    if len(frames) < len(span):
        wanted = {*frames}
        for frame in span:
            if frame not in wanted:
                words.states[frame - span.start] = _LEFT_OUT
        changed = [frame for frame in changed if frame in wanted]
    reading = _add_up(words, arena.frames)
    while changed:
        frame = changed.pop()
        words, changed_again = _words_of(arena, range(frame, frame + 1))
        reading = reading.plus(_add_up(words, arena.frames))
        changed += changed_again
    return reading


class _Words(NamedTuple):
    """Copies of the words of some frames: each attribute has one entry for each frame.

    Attributes:
        states: Their states, or a pseudo-state.
        counts: The records in each that is not settled.
        takens: As in an account, as the next one.
        origins: See `takens`.
        times: When the first record of each came.
        opening: For each total, the opening totals.
        closing: For each total, the closing totals.
    """

    states: bytearray
    counts: list[int]
    takens: list[int]
    origins: list[int]
    times: list[int]
    opening: list[list[int]]
    closing: list[list[int]]


def _words_of(arena: Arena, frames: range) -> tuple[_Words, list[int]]:
    """Copy the words of some frames; return also the frames that have changed meanwhile.

    Those count nothing in the words.
    """
    generations, states = arena.generations(frames), arena.states(frames)
    words = _Words(
        states=bytearray(states),
        counts=arena.counts(frames),
        takens=arena.column(Account.taken.offset, frames),
        origins=arena.column(Account.origin.offset, frames),
        times=arena.column(Account.opened.offset, frames),
        opening=[arena.column(OPENING + total, frames) for total in range(TOTALS)],
        closing=[arena.column(CLOSING + total, frames) for total in range(TOTALS)],
    )
    at = states.find(FILLING)
    while at >= 0:
        words.counts[at] = count_filled(arena, frames[at])
        at = states.find(FILLING, at + 1)
    before, after = (generations, states), (arena.generations(frames), arena.states(frames))
    changed: list[int] = []
    if before != after:
        pairs = zip(zip(*before, strict=True), zip(*after, strict=True), strict=True)
        changed = [at for at, (one, other) in enumerate(pairs) if one != other]
    # The words of a frame that was never used may be anything, in a damaged file.
    unused = [at for at, generation in enumerate(generations) if not generation]
    for at in (*changed, *unused):
        words.states[at] = _LEFT_OUT
    return words, [frames[at] for at in changed]


def _add_up(words: _Words, frames: int) -> Reading:
    """Return what frames hold and held; it has no loop in Python over all of them.

    Args:
        words: Their words. States become pseudo-states.
        frames: How many frames the arena has.
    """
    taken, states = 0, words.states
    for at in [*compress(range(len(states)), words.takens)]:
        if states[at] in _WITH_CONTENT:  # all of it is still parked
            is_own = states[at] != FILLING and not is_adopted(words.origins[at])
            taken += words.counts[at] if is_own else 0
            states[at] = _TAKEN
    settled, unsettled = states.translate(_SETTLED), states.translate(_UNSETTLED)
    totals = [
        sum(compress(closing, settled)) + sum(compress(opening, unsettled))
        for closing, opening in zip(words.closing, words.opening, strict=True)
    ]
    pending = sum(compress(words.counts, states.translate(_PENDING)))
    totals[ACCEPTED] += pending
    rows = zip(words.times, words.counts, strict=True)
    ageing, now = compress(rows, states.translate(_AGEING)), clock.now()
    # In a damaged file, the word may be anything.
    opened = min((time for time, count in ageing if count and frames < time <= now), default=0)
    return Reading(totals, pending, opened, taken)
