"""Repair: recovers the readable records of a damaged arena.

Only for an arena that no process uses. A frame whose account contradicts its content is set to
FILLING. The janitor then treats it like the frame of a dead producer: it ignores the account and
recovers the whole records that the content begins with.
"""

from dataart_mp.queue.account import ACTIONS, IDENTITY
from dataart_mp.queue.arena import FILLING, FREE, JOINED, READY, SENDING, SETTLED, WAITING, Arena

_SEALED = (READY, SENDING, WAITING)


def repair(arena: Arena) -> int:
    """Set each damaged frame to FILLING, so that the janitor recovers its records.

    Returns:
        The number of damaged frames.
    """
    damaged = [frame for frame in range(arena.frames) if not _is_sound(arena, frame)]
    for frame in damaged:
        _set_filling(arena, frame)
    return len(damaged)


def _is_sound(arena: Arena, frame: int) -> bool:
    state = arena.state(frame)
    if state == FREE:
        return not any(arena.content(frame, 0, 1))  # a free frame is all zeros
    if state in (FILLING, SETTLED):
        return True
    account = arena.account(frame)
    if state == JOINED:
        leader, generation = account.leader, account.leader_generation
        return leader < arena.frames and _leads(arena, leader, generation)
    count, length, kind = account.count, account.length, account.kind
    if state not in _SEALED or kind not in (ACTIONS, IDENTITY) or not 0 < length <= arena.capacity:
        return False
    if account.joining > arena.frames or account.joined_length > arena.capacity:
        return False
    content = arena.content(frame, 0, length)
    lines = content.count(b"\n")
    fits = lines >= count if account.followers else lines == count
    return content.endswith(b"\n") and fits and b"\0" not in content


def _leads(arena: Arena, frame: int, generation: int) -> bool:
    """Return whether the frame is sound and still holds the frames that were joined to it."""
    if arena.generation(frame) != generation or arena.state(frame) not in _SEALED:
        return False
    return arena.account(frame).followers > 0 and _is_sound(arena, frame)


def _set_filling(arena: Arena, frame: int) -> None:
    arena.account(frame).reopen(_kind_by_content(arena, frame))
    arena.set_state(frame, FILLING)


def _kind_by_content(arena: Arena, frame: int) -> int:
    """Return the kind of records: an identity begins with `user_key`, an action with `key`."""
    return IDENTITY if arena.content(frame, 0, 11) == b'{"user_key"' else ACTIONS
