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

import itertools
import time
from collections.abc import Mapping, Sequence
from typing import Final

from dataart_mp.queue.account import OPENING, Account, can_follow
from dataart_mp.queue.arena import JOINED, READY, SETTLED, Arena
from dataart_mp.queue.release import clear

_LOCK_SECONDS: Final = 0.001
# How many frames are looked at to join some. To look at a long backlog that cannot be joined, of
# identities, would cost more than a request.
_LOOKS: Final = 256

_COUNT: Final = Account.count.offset
_LENGTH: Final = Account.length.offset
_JOINING: Final = Account.joining.offset
_FOLLOWERS: Final = Account.followers.offset
_JOINED_LENGTH: Final = Account.joined_length.offset
_JOINED_AT: Final = Account.joined_at.offset
_OPENED: Final = Account.opened.offset
_LEADER: Final = Account.leader.offset
_NOTED: Final = Account.noted.offset
_LEADER_GENERATION: Final = Account.leader_generation.offset


def candidates(
    arena: Arena, records: int, size: int, *, refused_too: bool = True
) -> dict[int, list[int]]:
    """Find READY frames to join, lowest first, before the first one that there is no room for.

    Args:
        arena: The arena.
        records: How many records there is room for.
        size: How many bytes of records there is room for.
        refused_too: As for `can_follow`.

    Returns:
        The frames, with the words of their accounts before the totals.
    """
    words = arena.words
    found: dict[int, list[int]] = {}
    for number in itertools.islice(arena.each_in(READY), _LOOKS):
        first = arena.account_at(number)
        seen = words[first : first + OPENING].tolist()
        if can_follow(seen, refused_too=refused_too):
            records -= seen[_COUNT]
            size -= seen[_LENGTH]
            if records < 0 or size < 0:
                break
            found[number] = seen
    return found


def join(
    arena: Arena, leader: int, seen: Mapping[int, list[int]], holder: object, followers: list[int]
) -> list[int]:
    """Copy the content of frames to their leader, and store that the leader sends it.

    Nearly all frames pass here under backlog, so words are stored by their numbers.

    Args:
        arena: The arena they are in.
        leader: The leader, which the caller owns, which can lead, and which has room.
        seen: What `candidates` has found.
        holder: The object for which the locks of the frames are held meanwhile.
        followers: The numbers of those that were joined are added to it.

    Returns:
        Those that were locked, and not joined because they have changed since they were seen.
    """
    memory, words = arena.memory, arena.words
    first, base = arena.account_at(leader), arena.base(leader)
    generation, length, count = words[first], words[first + _LENGTH], words[first + _FOLLOWERS]
    opened = words[first + _OPENED]
    passed_over: list[int] = []
    for span in arena.locks.acquire_many(list(seen), holder):
        for number in span:
            state, other = arena.state_at(number), arena.account_at(number)
            head = seen[number]
            # Another worker may have had it in between, or a producer may have filled it again.
            if memory[state] != READY or words[other : other + OPENING].tolist() != head:
                passed_over.append(number)
                continue
            content = arena.content(number, 0, head[_LENGTH])
            joined_length = length + len(content)
            count += 1
            words[first + _JOINED_LENGTH] = joined_length
            words[first + _JOINING] = number + 1
            memory[base + length : base + joined_length] = content
            if words[other + _OPENED] < opened:  # the older of both is what waits
                words[first + _OPENED] = opened = words[other + _OPENED]
            words[other + _JOINED_AT] = length
            words[other + _LEADER] = leader
            words[other + _LEADER_GENERATION] = generation
            words[first + _FOLLOWERS] = count
            memory[state] = JOINED
            words[first + _LENGTH] = length = joined_length  # as `complete` does after a death
            words[first + _JOINING] = 0
            followers.append(number)
        arena.locks.release_range(span)
    return passed_over


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
    left = set(known)
    while left:
        for span in arena.locks.acquire_many(sorted(left), holder):
            for number in span:
                _settle(arena, number)
            arena.locks.release_range(span)
            left.difference_update(span)
        if left:  # Another process has a lock for as long as it takes to see that it is not READY.
            time.sleep(_LOCK_SECONDS)


def _settle(arena: Arena, number: int) -> None:
    """Settle a follower as delivered, and free it."""
    account = arena.account(number)
    # If this process dies before the frame is free, another one must see that its owner is dead.
    account.set_process(arena.process_words)
    account.close_joined()
    arena.memory[arena.state_at(number)] = SETTLED
    # The word named the generation of the leader: else it could pass for a note.
    arena.words[account.first + _NOTED] = 0
    clear(arena, number)
