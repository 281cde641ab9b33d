"""Recovery: continues an arena that a power failure has left as a mixture of old and new pages.

    content            as its checksum says: sent            longer: cut       neither: lost
    state              FREE or SETTLED: kept; otherwise READY
    progress           kept, or else the frame is sent from its beginning, with the same key
    taken              the batch that the frame was filled from is still parked
    totals             opening or closing ones, whichever balance

Only for an arena with durability, which no process uses. What was on the disk is sent, perhaps once
more. When the same boot continues, no power has failed, and frames that agree with their checksums
stay as they are.

The whole file is always brought to the disk at once. So a state that the disk has is never older
than the content that was brought there: FREE means that it was delivered, and not wiped yet.
"""

import os
import time
from collections.abc import Iterator

from dataart_mp.queue import checksum, process
from dataart_mp.queue.account import ACCEPTED, DELIVERED, TOTALS, WORD_MASK, Account
from dataart_mp.queue.arena import FREE, JOINED, READY, SENDING, SETTLED, WAITING, Arena
from dataart_mp.queue.frame import Frame


def recover(arena: Arena, *, may_be_parked: bool) -> int:
    """Rebuild the frames of an arena from what their checksums prove.

    Call it before the arena settles in, while it still says of which boot it is.

    Args:
        arena: The arena.
        may_be_parked: Whether any batch is parked in the spool. Then workers look for each frame
            there before they send it.

    Returns:
        How many frames have lost content: it was not on the disk yet.
    """
    if not arena.durability:
        return 0
    has_restarted = not (arena.world.is_known and arena.world.boot == process.world().boot)
    written = set(_written(arena))
    used = [frame for frame in range(arena.frames) if arena.generation(frame) or frame in written]
    incomplete = 0
    for frame in used:
        if has_restarted or not _agrees(arena, frame):
            incomplete += _rebuild(arena, frame, may_be_parked=may_be_parked)
    if has_restarted and used:
        _mend_sums(arena, used)
    return incomplete


def _written(arena: Arena) -> Iterator[int]:
    """Yield the frames that may hold anything, without reading the room that is only reserved."""
    frames, end = arena.base(0), arena.base(arena.frames)
    start = frames
    while start < end:
        try:
            start = os.lseek(arena.fd, start, os.SEEK_DATA)
        except OSError:  # there is no more
            return
        hole = min(end, os.lseek(arena.fd, start, os.SEEK_HOLE))
        yield from range((start - frames) // arena.stride, -(-(hole - frames) // arena.stride))
        start = hole


def _agrees(arena: Arena, frame: int) -> bool:
    """Return whether a frame can stay as it is, if no power has failed."""
    account, state = arena.account(frame), arena.state(frame)
    if state in (SETTLED, JOINED) or account.followers or account.joining or account.taken:
        return True
    if state in (READY, SENDING, WAITING):
        return checksum.proven(arena, frame) == account.length
    return state == FREE and not _content(arena, frame)


def _rebuild(arena: Arena, frame: int, *, may_be_parked: bool) -> bool:
    """Let a frame hold what is proven, and any worker send it.

    Returns:
        Whether content was lost.
    """
    account = arena.account(frame)
    is_done = arena.state(frame) in (FREE, SETTLED) or account.taken > 0
    is_joined = bool(account.followers or account.joining)
    length = 0 if is_done else checksum.proven(arena, frame)
    content = _content(arena, frame)
    arena.wipe(frame, length, len(content))
    if length:
        _restore(arena, frame, content[:length], may_be_parked=may_be_parked)
        totals = _balanced(account.opening(), account.closing())
    else:
        totals = _balanced(account.closing(), account.opening())
    account.set_totals(totals, totals)
    arena.set_state(frame, READY if length else FREE)
    # A leader has copies of what was joined to it, which its checksum does not cover.
    return length < len(content) and not is_done and not is_joined


def _content(arena: Arena, frame: int) -> bytes:
    return arena.content(frame, 0, arena.stride).rstrip(b"\0")


def _restore(arena: Arena, frame: int, content: bytes, *, may_be_parked: bool) -> None:
    account = arena.account(frame)
    cut, progress = account.batch_end, account.progress
    if not _is_possible(account, content):
        cut, progress = 0, progress._replace(through=0, rejected=0, failed=0)
    account.appended = checksum.word_of(account, content)
    account.reopen(account.kind)
    account.seal(content.count(b"\n"), len(content))
    account.progress = progress
    # A batch in progress is not joined to others: under this key, it was perhaps sent alone.
    end = cut if progress.through < cut < len(content) else len(content)
    Frame(arena, frame).aim(end, time.time_ns())
    account.parking = may_be_parked


def _is_possible(account: Account, content: bytes) -> bool:
    """Return whether progress and batch in progress are those of this content alone."""
    through, rejected, failed = account.progress
    ends = (through, account.batch_end)
    return (
        not account.followers
        and not account.joining
        and all(not end or content[end - 1 : end] == b"\n" for end in ends)
        and rejected + failed <= content.count(b"\n", 0, through)
    )


# Totals


def _balanced(*choices: list[int]) -> list[int]:
    """Return the first totals that balance, or else zeros. Others were about to be stored."""
    for totals in choices:
        if (totals[ACCEPTED] - sum(totals[DELIVERED:])) & WORD_MASK == 0:
            return totals
    return [0] * TOTALS


def _mend_sums(arena: Arena, used: list[int]) -> None:
    """Correct sums below zero: one frame took back what another one had parked, say.

    The disk may have the totals of the second frame, and not yet those of the first one.
    """
    sums = [0] * TOTALS
    for frame in used:
        for column, amount in enumerate(arena.account(frame).opening()):
            sums[column] += amount
    account = arena.account(used[0])
    totals = account.opening()
    for column in range(DELIVERED, TOTALS):
        missing = -_signed(sums[column])
        if missing > 0:
            totals[column] += missing
            totals[ACCEPTED] += missing
    account.set_totals(totals, totals)


def _signed(total: int) -> int:
    word = total & WORD_MASK
    return word if word <= WORD_MASK >> 1 else word - WORD_MASK - 1
