"""Joining: under backlog, a worker sends several frames in one request.

    leader   SENDING  │ its records │ copy of A │ copy of B │        counts its own records
    A        JOINED                                                  counts its own records
    B        JOINED                                                  counts its own records

The leader gets a copy of each follower's content behind its own. Each frame continues to count its
own records. One store, the state JOINED, decides who sends the follower's records: before it a
death leaves a follower that is sent on its own, after it a leader that sends them.

A leader whose batch was not processed can get more followers. So the key of a request that holds
joined frames names its length: what lies before any offset of a leader does not change.

Followers are settled before their leader, as delivered. Records of a follower that were rejected or
failed are counted by the leader, as so many fewer delivered.
"""

import time
from collections.abc import Sequence
from typing import Final

from dataart_mp.queue.arena import JOINED, SETTLED, Arena
from dataart_mp.queue.release import make_free

_LOCK_SECONDS: Final = 0.001


def join(arena: Arena, leader: int, follower: int) -> None:
    """Copy the follower's content to the leader, and store that the leader sends it.

    The caller owns both frames. The leader can lead and has room, the follower can follow.
    """
    account, other = arena.account(leader), arena.account(follower)
    start, size = account.length, other.length
    account.joined_length = joined_length = start + size
    account.joining = follower + 1
    arena.write(leader, start, arena.content(follower, 0, size))
    other.joined_at = start
    other.leader = leader
    other.leader_generation = account.generation
    account.followers += 1
    arena.set_state(follower, JOINED)
    account.length = joined_length  # as `complete` does after a death
    account.joining = 0


def complete(arena: Arena, leader: int) -> None:
    """Complete a join that a death may have interrupted, or undo it if it was not stored."""
    account = arena.account(leader)
    joining = account.joining
    if not joining:
        return
    length, joined_length = account.length, account.joined_length
    if length <= joined_length <= arena.capacity:  # else a word is damaged
        if joining <= arena.frames and follows(arena, joining - 1, leader):
            account.length = joined_length
        else:
            arena.wipe(leader, length, joined_length)
    account.joining = 0


def follows(arena: Arena, number: int, leader: int) -> bool:
    """Return whether a frame has been joined to the leader as it is filled now."""
    account = arena.account(number)
    return (
        arena.state(number) == JOINED
        and account.leader == leader
        and account.leader_generation == arena.generation(leader)
    )


def settle_followers(arena: Arena, leader: int, known: Sequence[int], holder: object) -> None:
    """Settle and free all followers of a leader that is about to be settled.

    They are settled first, because as long as the leader is there, some process will settle them.

    Args:
        arena: The arena they are in.
        leader: The leader, which the caller owns.
        known: The followers that this process has joined to it. They are all of them, unless
            another process owned the leader before.
        holder: The object for which the locks of the followers are held.
    """
    if len(known) != arena.account(leader).followers:
        known = [each for each in arena.all_in(JOINED) if follows(arena, each, leader)]
    for number in known:
        # Another process holds the lock for as long as it takes to see that the frame is not READY.
        while not arena.locks.acquire(number, holder):
            time.sleep(_LOCK_SECONDS)
        arena.account(number).close_joined()
        arena.set_state(number, SETTLED)
        make_free(arena, number)
