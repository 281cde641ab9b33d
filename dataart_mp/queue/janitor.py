"""The janitor: gives back the frames of the dead, and those that the living have lost.

A frame in FILLING, SENDING or SETTLED whose lock is free has lost its owner. One process at a time
looks for such frames, because it asks by acquiring: two who ask at once would hide the dead from
each other.

What an exception took out of a living process's owner (see `RecordLocks`) has still got the
kernel's lock: only that process can give it back, and it need not ask anybody.
"""

from dataart_mp.queue.arena import FILLING, READY, SENDING, SETTLED, Arena
from dataart_mp.queue.frame import clear
from dataart_mp.queue.frame_writer import salvage
from dataart_mp.queue.locks import JANITOR


class _Broom:
    """Holds what is being given back; an exception under way leaves it to the next round."""


def sweep(arena: Arena) -> list[int]:
    """Give back all frames of dead processes.

    Returns:
        The frames that are READY (again) by this. Empty when another process is at it.
    """
    broom = _Broom()
    if not arena.locks.acquire(JANITOR, broom):
        return []
    try:
        orphans = [
            frame
            for state in (FILLING, SENDING, SETTLED)
            for frame in arena.all_in(state)
            if arena.locks.acquire(frame, broom)
        ]
        return [frame for frame in orphans if _give_back(arena, frame)]
    finally:
        arena.locks.release(JANITOR)


def recover(arena: Arena) -> list[int]:
    """Give back what this process holds, though no thread of it knows.

    Returns:
        The frames that are READY by this.
    """
    broom = _Broom()
    mine = [byte for byte in arena.locks.lost() if arena.locks.acquire(byte, broom)]
    return [byte for byte in mine if _give_back(arena, byte)]


def _give_back(arena: Arena, frame: int) -> bool:
    """Finish, for a frame that the caller has just acquired, what its owner had begun."""
    match arena.state(frame) if frame < arena.frames else None:
        case state if state == FILLING:
            return salvage(arena, frame)
        case state if state == SENDING:
            arena.set_state(frame, READY)  # the batch at hand is sent again, with the same key
            arena.locks.release(frame)
            return True
        case state if state == SETTLED:
            clear(arena, frame)
            return False
        case state:  # its owner was done with it, but for the lock; or it is no frame's byte
            arena.locks.release(frame)
            return state == READY  # a worker may have heard the ring while the lock was taken
