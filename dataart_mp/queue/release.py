"""Release: how a frame that this process owns changes state and owner in one step."""

from typing import Final

from dataart_mp.queue.account import Account
from dataart_mp.queue.arena import FREE, READY, WAITING, Arena

_LENGTH: Final = Account.length.offset
_FOLLOWERS: Final = Account.followers.offset


def make_ready(arena: Arena, number: int) -> None:
    """Let any worker claim a frame that the caller owns."""
    arena.set_state(number, READY)
    arena.locks.release(number)


def make_free(arena: Arena, number: int) -> None:
    """Free a SETTLED frame that the caller owns."""
    clear(arena, number)
    arena.locks.release(number)


def clear(arena: Arena, number: int) -> None:
    """Free a SETTLED frame as `make_free`, without its lock. A free frame is all zeros."""
    memory, words, first = arena.memory, arena.words, arena.account_at(number)
    length = words[first + _LENGTH]
    if length > arena.capacity:  # It is damaged, and the next frame must stay as it is.
        length = arena.capacity
    if words[first + _FOLLOWERS]:  # else the memory would grow until every frame was the leader
        arena.give_back(number, length)
    else:
        base = arena.base(number)
        memory[base : base + length] = bytes(length)
    memory[arena.state_at(number)] = FREE


def wake(arena: Arena, number: int, now: int, *, early: bool = False) -> bool:
    """Make a WAITING frame READY when it is due; True if this call did.

    Args:
        arena: The arena it is in.
        number: The frame.
        now: The time (ns of the clock of the queue).
        early: Ignore the planned time, and heed only the earliest one that the platform allows.
    """
    if arena.account(number).due_at(now, early=early) > now or not arena.locks.acquire(number):
        return False
    waiting = arena.state(number) == WAITING
    if waiting:
        arena.set_state(number, READY)
    arena.locks.release(number)
    return waiting
