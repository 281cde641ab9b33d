"""Marks: how many of the records that this process has emitted until some moment are pending.

    emit   emit   mark   emit   emit
    └─ covered ──┘ │     └─ not covered
                   └─ epoch 7: covers what was sealed in epochs up to 7, and of each frame that is
                      open, as many records as it holds

A mark keeps no list of frames. Each frame that is sealed gets the current epoch as its stamp, in
memory of this process, and a mark begins the next epoch. So a mark costs the same whatever is
pending, and neither seals a frame nor waits.

What is pending is read from the states of the frames. What was rejected, failed or parked is read
from the notes of the workers (see `outcomes`). A note names a frame and its generation; this
process knows those that it has sealed last. Before it seals a frame again, it sees from one word
whether there are notes that it has not read (`is_behind`), and if so, reads them.
"""

import mmap
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from dataart_mp.queue import outcomes
from dataart_mp.queue.account import WORD_BYTES
from dataart_mp.queue.accounting import pending_in
from dataart_mp.queue.arena import FILLING, FREE, SETTLED, Arena
from dataart_mp.queue.frame_writer import Claim, FrameWriter
from dataart_mp.queue.versions import Learned, Losses, Version

if TYPE_CHECKING:
    import weakref

_UNSEALED: Final = (1 << 64) - 1


class Coverage(NamedTuple):
    """Which records of this process a mark covers.

    Attributes:
        epoch: All frames whose stamp is at most this are covered.
        open: Of these frames, which were open then, so many records.
        version: What was known of outcomes; all of it concerns records that are covered.
    """

    epoch: int
    open: Mapping[Claim, int]
    version: Version

    def of(self, claim: Claim, stamp: int) -> int | None:
        """Return how many records of a claim are covered, from its first one on; None: all."""
        return None if stamp <= self.epoch else self.open.get(claim, 0)


Unsettled = tuple[int, int]
"""A filling of a frame that is not settled: when it was sealed (its stamp), and its records.

There may be a thousand and more, so it is a plain tuple.
"""


class Pending(NamedTuple):
    """What is pending of all that this process has emitted.

    Attributes:
        unsettled: The fillings of frames that are not settled.
        oldest: The least of their stamps.
    """

    unsettled: Mapping[Claim, Unsettled]
    oldest: int

    def is_settled(self, coverage: Coverage) -> bool:
        """Return whether nothing that a mark covers is pending. Costs the same for each mark."""
        return coverage.epoch < self.oldest and not self.open(coverage)

    def open(self, coverage: Coverage) -> list[Claim]:
        """Return what is pending of the frames that were open when a mark was made."""
        return [claim for claim in coverage.open if claim in self.unsettled]

    def count(self, coverage: Coverage) -> int:
        """Return how many of the covered records are pending."""
        if self.is_settled(coverage):
            return 0
        pending = 0
        for claim, (stamp, records) in self.unsettled.items():
            most = coverage.of(claim, stamp)
            pending += records if most is None else min(most, records)
        return pending


class Marks:
    """What one process needs for its marks on one queue.

    Args:
        arena: The arena of the queue.

    Attributes:
        stamps: The epoch in which each frame was sealed; then the current epoch, and the number of
            notes that were read. C reads and writes it, too.
        era: Another object in each process.
    """

    stamps: memoryview
    era: object

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._epoch_at = arena.frames
        self._seen_at = arena.frames + 1

    def start_afresh(
        self, sealed: dict[int, int], opened: Mapping[Claim, "weakref.ref[FrameWriter]"]
    ) -> None:
        """Forget what belongs to the process: in a forked child it is the parent's.

        Args:
            sealed: The generation that this process has sealed last, for each frame.
            opened: The frames that this process has open, and their writers.
        """
        size = (self._arena.frames + 2) * WORD_BYTES
        # Pages that are never touched cost no memory.
        memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANON)
        self.stamps = memoryview(memory).cast("Q")
        self.stamps[self._epoch_at] = 1
        self._sealed, self._opened = sealed, opened
        self._lock = threading.RLock()  # a signal handler may make a mark in the middle of another
        self._version = Version(self._arena.note_head, self._arena.notes_lost)
        self.stamps[self._seen_at] = self._version.head
        self.era = object()
        self._last: Pending | None = None

    # Sealing

    @property
    def is_behind(self) -> bool:
        """Whether there are notes that this process has not read."""
        return self._arena.note_head != self.stamps[self._seen_at]

    def seal(self, claim: Claim) -> None:
        """Record that a frame is about to be sealed. Called before its state says so."""
        frame, generation = claim
        if self.is_behind:
            self.read_notes()
        self.stamps[frame] = self.stamps[self._epoch_at]
        self._sealed[frame] = generation

    # Marks

    def cover(self) -> Coverage:
        """Begin the next epoch; return what a mark covers that is made now."""
        version = self.read_notes()  # in this order: each record is in one of them
        written = self._written()
        with self._lock:
            epoch = self.stamps[self._epoch_at]
            self.stamps[self._epoch_at] = epoch + 1
        return Coverage(epoch, written, version)

    def pending(self) -> Pending:
        """Return what is pending of all that this process has emitted."""
        if self._last is not None:
            return self._last
        written = self._written()  # in this order: what is sealed in between is found below
        found = self._sealed_and_unsettled()
        oldest = min((stamp for stamp, _ in found.values()), default=_UNSEALED)
        for claim, records in written.items():
            if claim not in found and not self._is_settled(claim):
                found[claim] = (_UNSEALED, records)
        return Pending(found, oldest)

    def losses(self, coverage: Coverage, pending: Pending) -> tuple[Losses, bool]:
        """Return what became of the covered records, and whether that is exact.

        Args:
            coverage: What is covered.
            pending: What is not settled. It was read before this call, so all notes on what is
                settled can be read now.
        """
        latest = self.read_notes()
        first = coverage.version
        known = {claim: dict(outcomes) for claim, outcomes in first.known.items()}
        for version in first.later():
            for each in version.learned:
                covered = coverage.of(each.claim, each.stamp)
                known.setdefault(each.claim, {}).update(each.outcomes(covered))
            if version is latest:
                break
        losses = first.losses
        for claim, outcome in known.items():
            if claim not in pending.unsettled:
                losses = losses.plus(outcome)
        return losses, latest.is_exact

    def conclude(self) -> None:
        """Remember what is pending, because the arena is about to be closed."""
        last = None
        self._last, last = None, self._last
        try:
            pending = self.pending()
            self.read_notes()
            last = pending
        finally:
            self._last = last

    # Notes

    def read_notes(self) -> Version:
        """Read what workers have noted; return the latest version."""
        if self._last is not None:
            return self._version.latest
        while True:
            version = self._version = self._version.latest
            head, lost = self._arena.note_head, self._arena.notes_lost
            if (head, lost) == (version.head, version.lost):
                break
            version.succeed(self._next(version))
        self.stamps[self._seen_at] = version.head
        return version

    def _next(self, version: Version) -> Version:
        # In this order: of what is settled here, all notes are read.
        settled = [claim for claim in version.known if self._is_settled(claim)]
        head, lost = self._arena.note_head, self._arena.notes_lost
        notes, is_missing = outcomes.read(self._arena, version.head, head)
        stamps = [self._stamp_of(note) for note in notes]
        learned = [Learned(stamp, note) for stamp, note in zip(stamps, notes, strict=True) if stamp]
        known = dict(version.known)
        for each in learned:
            known[each.claim] = {**known.get(each.claim, {}), **each.outcomes()}
        losses = version.losses
        for claim in settled:
            losses = losses.plus(known.pop(claim))
        is_exact = version.is_exact and not is_missing and lost == version.lost
        return Version(
            head, lost, is_exact=is_exact, learned=tuple(learned), losses=losses, known=known
        )

    def _stamp_of(self, note: outcomes.Note) -> int:
        """Return when the frame of a note was sealed; 0 if another process has filled it."""
        claim = frame, generation = note.frame, note.generation
        if self._sealed.get(frame) == generation:
            return self.stamps[frame]
        return _UNSEALED if claim in self._opened else 0

    # Frames

    def _written(self) -> dict[Claim, int]:
        """Return how many records each open frame of this process holds."""
        written: dict[Claim, int] = {}
        for claim, reference in list(self._opened.items()):
            writer = reference()
            # An exception may have taken the writer from its thread; then the content says it.
            count = pending_in(self._arena, claim[0]) if writer is None else writer.written
            if count:
                written[claim] = count
        return written

    def _sealed_and_unsettled(self) -> dict[Claim, Unsettled]:
        # A backlog has a thousand frames and more, so words are read together. Generations are read
        # last: what was read before of a frame that has still the same one belongs to it.
        arena, found = self._arena, dict[Claim, Unsettled]()
        states = arena.states_in_use()
        frames = range(len(states))
        counts = arena.counts(frames)
        stamps = self.stamps[: len(states)].tolist()
        generations = arena.generations(frames)
        for frame, generation in self._sealed.copy().items():
            if frame >= len(states) or generations[frame] != generation:
                continue
            state = states[frame]
            if state not in (FREE, SETTLED):
                # It may be about to be sealed; then its count is not stored yet.
                count = pending_in(arena, frame) if state == FILLING else counts[frame]
                found[frame, generation] = (stamps[frame], count)
        return found

    def _is_settled(self, claim: Claim) -> bool:
        frame, generation = claim
        arena = self._arena
        return arena.generation(frame) != generation or arena.state(frame) in (FREE, SETTLED)
