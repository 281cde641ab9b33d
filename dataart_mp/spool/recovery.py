"""Recovery: continues an arena that a power failure has left as a mixture of old and new pages.

    content            as its checksum says: sent            longer: cut       neither: lost
    state              FREE or SETTLED, and its totals have changed: kept; otherwise READY
    progress           kept, or else the frame is sent from its beginning, with the same key
    taken              the batch that the frame was filled from is still parked
    totals             opening or closing ones, whichever balance

Only for an arena with durability, which no process uses. What was on the disk is sent, perhaps once
more. When the same boot continues, no power has failed. Then only what no checksum proves is cut
off, and the repair does the rest.

The whole file is always brought to the disk at once. So a state that the disk has is never older
than the content that was brought there. A frame that is FREE, or SETTLED, and whose totals say that
its records have left it, was not wiped yet.
"""

import os
from collections.abc import Iterator
from typing import Final, NamedTuple

from dataart_mp import clock
from dataart_mp.queue import checksum, process
from dataart_mp.queue.account import ACCEPTED, DELIVERED, TOTALS, WORD_MASK, Account
from dataart_mp.queue.arena import FREE, JOINED, READY, SETTLED, Arena
from dataart_mp.queue.checksum import Proof
from dataart_mp.queue.frame import Frame
from dataart_mp.queue.joining import follows

_NOTHING: Final = Proof(0, 0, 0)


class Cut(NamedTuple):
    """What a recovery has cut off.

    Attributes:
        frames: The number of frames that hold less than before.
        lost: The records among theirs that are not sent; perhaps some were never accepted.
    """

    frames: int
    lost: int


def recover(arena: Arena, *, may_be_parked: bool) -> Cut:
    """Rebuild the frames of an arena from what their checksums prove.

    Call it before the arena settles in, while it still says of which boot it is.

    Args:
        arena: The arena.
        may_be_parked: Whether any batch is parked in the spool. Then workers look for each frame
            there before they send it.
    """
    if not arena.durability:
        return Cut(0, 0)
    has_restarted = not (arena.world.is_known and arena.world.boot == process.world().boot)
    written = set(_written(arena))
    used = [frame for frame in range(arena.frames) if arena.generation(frame) or frame in written]
    if has_restarted:
        losses = [_rebuild(arena, frame, may_be_parked=may_be_parked) for frame in used]
        _mend_sums(arena, used)
    else:
        losses = [_cut(arena, frame) for frame in used]
    return Cut(sum(map(bool, losses)), sum(losses))


def _written(arena: Arena) -> Iterator[int]:
    """Yield the frames that may hold anything, without reading the room that is only reserved."""
    frames, end = arena.base(0), arena.base(arena.frames)
    start = frames
    while start < end:
        try:
            start = os.lseek(arena.fd, start, os.SEEK_DATA)
        except OSError:  # only holes are left
            return
        hole = min(end, os.lseek(arena.fd, start, os.SEEK_HOLE))
        yield from range((start - frames) // arena.stride, -(-(hole - frames) // arena.stride))
        start = hole


def _content(arena: Arena, frame: int) -> bytes:
    return arena.content(frame, 0, arena.stride).rstrip(b"\0")


# The same boot


def _cut(arena: Arena, frame: int) -> int:
    """Cut off what is not proven of a frame, and leave the rest to the repair.

    Returns:
        How many records are lost, or had not been accepted yet.
    """
    account = arena.account(frame)
    if arena.state(frame) in (SETTLED, JOINED) or _is_shared(account):
        return 0
    proof = checksum.proof(arena, frame)
    if proof:
        account.generation, account.kind = proof.generation, proof.kind
    content = _content(arena, frame)
    length = proof.length if proof else 0
    if length == len(content) or any(follows(arena, each, frame) for each in arena.each_in(JOINED)):
        return 0
    arena.wipe(frame, length, len(content))
    lost = content.count(b"\n", length)
    account.reopen(account.kind)
    account.seal(content.count(b"\n", 0, length), length)
    account.add_lost(lost)
    arena.set_state(frame, READY if length else FREE)
    return lost


def _is_shared(account: Account) -> bool:
    """Return whether a frame's content is not only what was appended to it, or is parked, too."""
    return bool(account.followers or account.joining or account.taken or account.origin)


# After a restart


def _rebuild(arena: Arena, frame: int, *, may_be_parked: bool) -> int:
    """Let a frame hold what is proven, and any worker send it.

    Returns:
        How many records are lost, or were delivered before.
    """
    account = arena.account(frame)
    is_done = _is_done(arena, frame)
    has_followers = bool(account.followers or account.joining)
    proof = (None if is_done else checksum.proof(arena, frame)) or _NOTHING
    content = _content(arena, frame)
    arena.wipe(frame, proof.length, len(content))
    if proof.length:
        account.generation, account.kind = proof.generation, proof.kind
        _restore(arena, frame, content[: proof.length], may_be_parked=may_be_parked)
        totals = _balanced(account.opening(), account.closing())
    else:
        totals = _balanced(account.closing(), account.opening())
    account.set_totals(totals, totals)
    arena.set_state(frame, READY if proof.length else FREE)
    # A leader has copies of what was joined to it, which its checksum does not cover.
    return 0 if is_done or has_followers else content.count(b"\n", proof.length)


def _is_done(arena: Arena, frame: int) -> bool:
    """Return whether a frame's records were settled, or are still parked."""
    account = arena.account(frame)
    if account.taken:
        return account.is_origin_sound
    return arena.state(frame) in (FREE, SETTLED) and account.opening() != account.closing()


def _restore(arena: Arena, frame: int, content: bytes, *, may_be_parked: bool) -> None:
    account = arena.account(frame)
    cut, progress = account.batch_end, account.progress
    if not _is_possible(account, content):
        cut, progress = 0, progress._replace(through=0, rejected=0, failed=0)
    checksum.store(account, content)
    account.reopen(account.kind)
    account.seal(content.count(b"\n"), len(content))
    account.progress = progress
    # A batch in progress is not joined to others: under this key, it was perhaps sent alone.
    end = cut if progress.through < cut < len(content) else len(content)
    Frame(arena, frame).aim(end, clock.now())
    account.parking = may_be_parked


def _is_possible(account: Account, content: bytes) -> bool:
    """Return whether progress and batch in progress are those of this content alone."""
    through, rejected, failed = account.progress
    return (
        not account.followers
        and not account.joining
        and through <= account.batch_end
        and all(not end or content[end - 1 : end] == b"\n" for end in (through, account.batch_end))
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
    if not used:
        return
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
