"""The janitor: releases the frames of dead processes, and those that a living one has lost.

A frame in FILLING, SENDING or SETTLED whose lock is free has lost its owner. One process at a time
looks for such frames, because it looks by acquiring the locks: two that looked at once would each
see the other as a living owner, and leave the frame to it. If one of them is stopped, the other
looks nevertheless; only the frames whose locks the stopped one has got by then must wait for it.

A living process can lose its locks, too, when the application closes descriptors that are not its
own. So a free lock is not enough: the process that the account names must be dead as well.

A frame that an exception took from a thread of a living process (see `RecordLocks`) is still locked
by that process. Only that process can release it, and it need not look for it.
"""

from dataart_mp.queue.arena import FILLING, READY, SENDING, SETTLED, Arena
from dataart_mp.queue.frame_writer import salvage
from dataart_mp.queue.locks import JANITOR
from dataart_mp.queue.release import make_free, make_ready
from dataart_mp.queue.role import role


class _Round:
    """Holds the locks of one round. When an exception ends the round, the next one takes them."""


def sweep(arena: Arena) -> list[int]:
    """Release all frames of dead processes.

    Returns:
        The frames that are READY again. Empty while another process is sweeping.
    """
    this_round = _Round()
    with role(arena.locks, JANITOR) as may_sweep:
        if not may_sweep:
            return []
        orphans = [
            frame
            for state in (FILLING, SENDING, SETTLED)
            for frame in arena.all_in(state)
            if arena.locks.acquire(frame, this_round) and not _is_disowned(arena, frame)
        ]
        return [frame for frame in orphans if _release(arena, frame)]


def _is_disowned(arena: Arena, frame: int) -> bool:
    """Release a frame again whose owner lives without its lock; True for such a frame."""
    if not arena.is_owner_alive(frame):
        return False
    arena.locks.release(frame)
    return True


def recover(arena: Arena) -> list[int]:
    """Release what this process owns although none of its threads knows it any more.

    Returns:
        The frames that are READY again.
    """
    this_round = _Round()
    lost = [byte for byte in arena.locks.lost() if arena.locks.acquire(byte, this_round)]
    return [byte for byte in lost if _release(arena, byte)]


def _release(arena: Arena, frame: int) -> bool:
    """Complete what the last owner of a frame had begun; True when it is READY."""
    match arena.state(frame) if frame < arena.frames else None:
        case state if state == FILLING:
            return salvage(arena, frame)
        case state if state == SENDING:
            make_ready(arena, frame)  # its batch in progress is sent again, with the same key
            return True
        case state if state == SETTLED:
            make_free(arena, frame)
            return False
        case state:  # only the lock was left; or the byte is not a frame's
            arena.locks.release(frame)
            return state == READY  # a worker may have read the notification while it was locked
