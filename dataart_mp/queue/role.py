"""Roles: work that one process of a client does for all, such as that of the janitor.

A role's lock saves work: two processes in one role would do the same, which is safe. So a holder
that is stopped (SIGSTOP, a debugger) is not waited for.
"""

import contextlib
from collections.abc import Iterator

from dataart_mp.queue import process
from dataart_mp.queue.locks import RecordLocks


def may_act(locks: RecordLocks, byte: int, holder: object = None) -> bool:
    """Return whether this process may act in a role: it gets the lock, or the holder is stopped.

    Args:
        locks: The locks of the arena.
        byte: The role's byte.
        holder: As for `RecordLocks.acquire`.
    """
    if locks.acquire(byte, holder):
        return True
    owner = locks.owner(byte)
    return owner is not None and process.is_stopped(owner)


@contextlib.contextmanager
def role(locks: RecordLocks, byte: int) -> Iterator[bool]:
    """Act in a role for the time of a `with` statement.

    Args:
        locks: The locks of the arena.
        byte: The role's byte.

    Yields:
        As `may_act` returns.
    """
    holder = _Holder()
    may = may_act(locks, byte, holder)
    try:
        yield may
    finally:
        if locks.is_held_by(byte, holder):
            locks.release(byte)


class _Holder:
    """Holds a role's lock. When an exception ends it, the lock counts as lost."""
