"""Repair: makes a damaged arena usable, with every record that is still readable.

    words of the account      believed if they agree with each other and with the content;
                              otherwise the content alone decides
    content                   lines that are JSON objects are kept, others are lost
    totals                    of each five, the first is the sum of the other four

Only for an arena that no process uses. Afterwards no word makes a worker fail. A record may be sent
again that was sent before, because what was known of its attempts is forgotten with its account.
"""

import json
from typing import Any, Final, NamedTuple

import orjson

from dataart_mp import clock
from dataart_mp.queue import checksum
from dataart_mp.queue.account import (
    ACCEPTED,
    ACTIONS,
    DELIVERED,
    IDENTITY,
    MAX_RECORDS,
    TOTALS,
    WORD_MASK,
    Account,
)
from dataart_mp.queue.arena import FILLING, FREE, JOINED, READY, SENDING, SETTLED, WAITING, Arena
from dataart_mp.queue.frame_writer import filled

_SEALED: Final = (READY, SENDING, WAITING)
_MAX_GENERATION: Final = 1 << 48
_MAX_ATTEMPTS: Final = 1 << 20
_STARTS: Final = {b'{"user_key"': IDENTITY, b'{"key"': ACTIONS}
_DECODER: Final = json.JSONDecoder()


class Repaired(NamedTuple):
    """What a repair has done.

    Attributes:
        frames: The number of frames that were damaged.
        lost: The records among theirs that are unreadable; they are counted as failed.
    """

    frames: int
    lost: int


def repair(arena: Arena) -> Repaired:
    """Repair all frames of an arena, and forget delays that its clock may not have kept."""
    mended = [_mend_numbers(arena, frame) for frame in range(arena.frames)]
    damaged = [frame for frame in range(arena.frames) if not _is_sound(arena, frame)]
    lost = sum(_rebuild(arena, frame) for frame in damaged)
    for frame in arena.all_in(SETTLED):
        _free(arena, frame)
    now = clock.now()
    for state in _SEALED:
        for frame in arena.all_in(state):
            account = arena.account(frame)
            account.since = min(account.since, now)  # else its batch would have no age until then
    for frame in arena.all_in(WAITING):
        _shorten_delay(arena.account(frame))
    return Repaired(len({*damaged, *(frame for frame, done in enumerate(mended) if done)}), lost)


# Is a frame what its account says?


def _is_sound(arena: Arena, frame: int) -> bool:
    state, account = arena.state(frame), arena.account(frame)
    if state == FREE:
        return not any(arena.content(frame, 0, 1))  # a free frame is all zeros
    if not account.is_origin_sound:
        return False
    if state == FILLING:
        return _is_sound_filling(arena, frame, account)
    if state == SETTLED:
        # One that was taken and parked again changes no total.
        return account.opening() != account.closing() or bool(account.taken and account.parking)
    if state == JOINED:
        return _is_sound_follower(arena, frame, account)
    return state in _SEALED and _is_sound_sealed(arena, frame, account)


def _is_sound_filling(arena: Arena, frame: int, account: Account) -> bool:
    """Whether a producer was filling it. A record may be torn at its end."""
    if not account.is_untouched_filling:
        return False
    count, length, written = filled(arena, frame)
    content = arena.content(frame, 0, written)
    if b"\0" in content[:length] or b"\n" in content[length:]:
        return False
    return account.taken > 0 or not count or _are_records(content[:length], account.kind)


def _is_sound_sealed(arena: Arena, frame: int, account: Account) -> bool:
    count, length = account.count, account.length
    if not 0 < length <= arena.capacity or not 0 < count <= MAX_RECORDS:
        return False
    if account.joining and (
        account.joining > arena.frames or not length <= account.joined_length <= arena.capacity
    ):
        return False
    content = arena.content(frame, 0, length)
    return (
        _is_sound_progress(account, content)
        and _counts_agree(arena, frame, content)
        and _are_records(content, account.kind)
    )


def _is_sound_progress(account: Account, content: bytes) -> bool:
    """Whether what is done with, and the batch in progress, end where records end."""
    through, rejected, failed = account.progress
    ends_are_sound = all(
        0 <= end <= len(content) and (not end or content[end - 1 : end] == b"\n")
        for end in (through, account.batch_end)
    )
    if not ends_are_sound or through > account.batch_end:
        return False
    return rejected + failed <= content.count(b"\n", 0, through)


def _counts_agree(arena: Arena, frame: int, content: bytes) -> bool:
    """Whether the content has as many lines as were counted for it, and for its followers."""
    account, lines = arena.account(frame), content.count(b"\n")
    followers = arena.all_in(JOINED) if account.followers else []
    counted = account.count + sum(
        arena.account(each).count for each in followers if _leader_of(arena, each) == frame
    )
    if lines == counted:
        return True
    if not account.followers:
        return False
    # A follower is settled before its leader, and it joins before the leader's length says so.
    is_ending = account.parking or account.through >= len(content)
    return lines >= counted if is_ending else account.joining > 0 and lines >= account.count


def _is_sound_follower(arena: Arena, frame: int, account: Account) -> bool:
    """Whether its leader holds its content."""
    leader = _leader_of(arena, frame)
    length = account.length
    if leader is None or not 0 < length <= arena.capacity:
        return False
    content = arena.content(frame, 0, length)
    if content.count(b"\n") != account.count or not _are_records(content, account.kind):
        return False
    leading = arena.account(leader)
    end = max(leading.length, leading.joined_length if leading.joining else 0)
    return _is_sound_leader(arena, leader) and content in arena.content(leader, 0, end)


def _is_sound_leader(arena: Arena, leader: int) -> bool:
    account = arena.account(leader)
    return account.followers > 0 and account.is_origin_sound and _is_sound(arena, leader)


def _leader_of(arena: Arena, frame: int) -> int | None:
    """Return the leader that a joined frame names, if that one is still filled as it was."""
    account = arena.account(frame)
    leader = account.leader
    if leader >= arena.frames or leader == frame or arena.state(leader) not in _SEALED:
        return None
    return leader if arena.generation(leader) == account.leader_generation else None


def _are_records(content: bytes, kind: int) -> bool:
    """Whether all lines are JSON objects, and the first one is of this kind."""
    if not content.endswith(b"\n") or kind != _kind_of(content, kind):
        return False
    return all(_is_object(line) for line in content[:-1].split(b"\n"))


def _kind_of(content: bytes, named: int) -> int:
    """Return the kind of records: an identity begins with `user_key`, an action with `key`.

    Args:
        content: The records.
        named: The kind by the account, for records that begin with neither.
    """
    for start, kind in _STARTS.items():
        if content.startswith(start):
            return kind
    return named if named in (ACTIONS, IDENTITY) else ACTIONS


def _is_object(line: bytes) -> bool:
    return isinstance(_parsed(line), dict)


def _parsed(line: bytes) -> Any:
    """Return a JSON value; None if the line is not JSON."""
    if b"\0" in line:
        return None
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:  # orjson limits the depth; the second opinion does not
        try:
            return json.loads(line)
        except (ValueError, RecursionError):
            return None


# Making it so


def _mend_numbers(arena: Arena, frame: int) -> bool:
    """Repair the words that do not depend on the content; True if one was damaged."""
    account = arena.account(frame)
    opening, closing = account.opening(), account.closing()
    is_damaged = False
    is_used = arena.state(frame) != FREE or any(opening) or any(closing)
    if is_used and not 0 < account.generation <= _MAX_GENERATION + arena.frames:
        # Nothing was ever sent under a key with such a generation.
        account.generation = _MAX_GENERATION + frame
        is_damaged = True
    if account.attempts > _MAX_ATTEMPTS:
        account.attempts = 0
        is_damaged = True
    if _is_balanced(opening) and _is_balanced(closing):
        return is_damaged
    step = _outcome(account) if arena.state(frame) in (FREE, SETTLED) else [0] * TOTALS
    account.set_totals(_near(opening, closing, step, -1), _near(closing, opening, step, 1))
    return True


def _is_balanced(totals: list[int]) -> bool:
    return (totals[ACCEPTED] - sum(totals[DELIVERED:])) & WORD_MASK == 0


def _outcome(account: Account) -> list[int]:
    """Return by how much the last filling of a settled frame has probably changed its totals."""
    count = account.count
    _, rejected, failed = account.progress
    parked = count - rejected - failed if account.parking else 0
    returned = count if account.taken and not account.adopted else 0
    delivered = count - rejected - failed - parked
    return [count - returned, delivered, rejected, failed, parked - returned]


def _near(totals: list[int], others: list[int], step: list[int], sign: int) -> list[int]:
    """Return totals in which one word is corrected so that they balance, if they do not.

    Args:
        totals: The five totals.
        others: The totals before or after one filling, which are sound.
        step: What the filling has probably added.
        sign: 1 if `others` are those before, -1 if they are those after.
    """
    if _is_balanced(totals):
        return totals
    expected = [
        other + sign * amount & WORD_MASK for other, amount in zip(others, step, strict=True)
    ]
    excess = totals[ACCEPTED] - sum(totals[DELIVERED:])
    corrected = [totals.copy() for _ in totals]
    for column, each in enumerate(corrected):
        each[column] = each[column] + (-excess if column == ACCEPTED else excess) & WORD_MASK
    return max(
        corrected,
        key=lambda each: sum(one == other for one, other in zip(each, expected, strict=True)),
    )


def _rebuild(arena: Arena, frame: int) -> int:
    """Make a damaged frame READY with the readable records of its content.

    Returns:
        How many records are unreadable.
    """
    account = arena.account(frame)
    if account.taken and account.is_origin_sound:
        _free(arena, frame)  # the batch that it was filled from is still parked
        return 0
    state = arena.state(frame)
    content = arena.content(frame, 0, arena.capacity)
    # The producer that wrote a last line without its end had not accepted the record.
    end = content.rfind(b"\n") + 1 if state == FILLING else len(content.rstrip(b"\0"))
    records, lost = _readable(content[:end])
    _write(arena, frame, records)
    if state in (FREE, SETTLED):  # perhaps no state that it ever had
        account.set_totals(account.closing(), account.closing())
    if state == FREE and not records:
        lost = 0  # a stray bit
    account.add_lost(lost)
    return lost


def _write(arena: Arena, frame: int, records: list[bytes]) -> None:
    """Let a frame hold these records, and any worker claim it; or free it if there are none."""
    content = b"".join(record + b"\n" for record in records)[: arena.capacity]
    content = content[: content.rfind(b"\n") + 1]
    arena.wipe(frame, 0, arena.capacity)
    arena.write(frame, 0, content)
    account = arena.account(frame)
    account.reopen(_kind_of(content, account.kind))
    account.opened = 0  # unknown; of a frame that was joined, the word means something else
    account.seal(content.count(b"\n"), len(content))
    if arena.durability:
        checksum.store(account, content)
    arena.set_state(frame, READY if content else FREE)


def _readable(content: bytes) -> tuple[list[bytes], int]:
    """Return the records that are whole, and how many others there seem to be."""
    records: list[bytes] = []
    lost = 0
    for line in content.split(b"\n"):
        pieces = [piece for piece in line.split(b"\0") if piece]
        found = [record for piece in pieces for record in _records_of(piece)]
        records += found
        lost += len(found) < len(pieces)
    return records, lost


def _records_of(piece: bytes) -> list[bytes]:
    """Return the record; or two, if the line break between them is damaged; or none."""
    if _is_object(piece):
        return [piece]
    try:
        # One character for each byte, so that the end is also an offset in the bytes.
        _, end = _DECODER.raw_decode(piece.decode("latin-1"))
    except (ValueError, RecursionError):
        return []
    rest = piece[end:].lstrip()
    records = [piece[:end], rest if rest.startswith(b"{") else rest[1:]]
    return records if all(map(_is_object, records)) else []


def _free(arena: Arena, frame: int) -> None:
    if arena.state(frame) not in (FREE, SETTLED):
        account = arena.account(frame)
        account.set_totals(account.opening(), account.opening())
    arena.wipe(frame, 0, arena.capacity)
    arena.set_state(frame, FREE)


def _shorten_delay(account: Account) -> None:
    """Let a frame wait no longer than the platform asked for, and never for a damaged time."""
    account.due = account.not_before = min(account.due, account.not_before)
