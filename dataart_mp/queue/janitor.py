"""The janitor: gives back the frames of the dead.

A frame in FILLING, SENDING or SETTLED whose lock is free has lost its owner. One process at a time
looks for such frames, because it asks by acquiring: two who ask at once would hide the dead from
each other.
"""

from dataart_mp.queue.arena import FILLING, READY, SENDING, SETTLED, Arena
from dataart_mp.queue.frame import clear
from dataart_mp.queue.lane import salvage
from dataart_mp.queue.locks import JANITOR


def sweep(arena: Arena) -> list[int]:
    """Give back all frames of dead processes.

    Returns:
        The frames that are READY (again) by this. Empty when another process is at it.
    """
    if not arena.locks.acquire(JANITOR):
        return []
    try:
        orphans = [
            frame
            for state in (FILLING, SENDING, SETTLED)
            for frame in arena.all_in(state)
            if arena.locks.acquire(frame)
        ]
        return [frame for frame in orphans if _give_back(arena, frame)]
    finally:
        arena.locks.release(JANITOR)


def _give_back(arena: Arena, frame: int) -> bool:
    """Finish, for a frame that the caller has just acquired, what its owner had begun."""
    match arena.state(frame):
        case state if state == FILLING:
            return salvage(arena, frame)
        case state if state == SENDING:
            arena.set_state(frame, READY)  # the batch at hand is sent again, with the same key
            arena.locks.release(frame)
            return True
        case state if state == SETTLED:
            clear(arena, frame)
            return False
        case _:  # its owner lived, and was done with it in the meantime
            arena.locks.release(frame)
            return False
