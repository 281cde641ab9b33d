"""Repair: makes of what is readable in a damaged arena frames that can be sent.

Only for an arena that nobody uses. A frame that cannot be what its account says is made one in
FILLING: then the janitor goes by its content alone, as for a producer that died.
"""

from dataart_mp.queue.account import ACTIONS, IDENTITY
from dataart_mp.queue.arena import FILLING, FREE, JOINED, READY, SENDING, SETTLED, WAITING, Arena

_SEALED = (READY, SENDING, WAITING)


def repair(arena: Arena) -> int:
    """Mend the frames that came to harm.

    Returns:
        How many did.
    """
    broken = [frame for frame in range(arena.frames) if not _is_sound(arena, frame)]
    for frame in broken:
        _open_again(arena, frame)
    return len(broken)


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
    """Whether a frame is as sound as it was when others were joined to it."""
    is_it = arena.generation(frame) == generation and arena.state(frame) in _SEALED
    return is_it and arena.account(frame).followers > 0 and _is_sound(arena, frame)


def _open_again(arena: Arena, frame: int) -> None:
    arena.account(frame).reopen(_kind_by_content(arena, frame))
    arena.set_state(frame, FILLING)


def _kind_by_content(arena: Arena, frame: int) -> int:
    """An identity begins with its user's key, an action with its own."""
    return IDENTITY if arena.content(frame, 0, 11) == b'{"user_key"' else ACTIONS
