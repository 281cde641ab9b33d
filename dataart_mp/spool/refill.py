"""Refill: a free frame is filled with the records of a parked batch, to send them again.

    FREE ──open──► FILLING ──take──► FILLING ──copy──► FILLING ──seal──► READY
                      │                 └─ from here on, the frame owns the parked batch
                      └─ the process dies in FILLING: the frame becomes FREE, and no longer owns it

The batch stays in the parking lot until it is delivered, so a death at any step loses nothing.
"""

from collections.abc import Callable

from dataart_mp.queue.account import ACTIONS, IDENTITY
from dataart_mp.queue.arena import Arena
from dataart_mp.queue.checked_writer import writer_type_of
from dataart_mp.queue.frame_writer import Origin
from dataart_mp.queue.owner import Owner


def refill(
    arena: Arena,
    origin: Origin,
    *,
    is_identity: bool,
    count: int,
    take: Callable[[Owner], bytes | None],
) -> int | None:
    """Fill a free frame with a parked batch and seal it.

    Args:
        arena: The arena that has the frame.
        origin: The parked batch.
        is_identity: True for one identity, False for actions.
        count: The number of records in the batch.
        take: Makes the frame the owner of the batch and returns its records; returns None when
            another process took the batch first.

    Returns:
        The number of the frame, which is READY. None when no frame is free, another process took
        the batch first, or the arena is closed.
    """
    kind = IDENTITY if is_identity else ACTIONS
    writer = writer_type_of(arena).open(arena, kind, count, 0.0, origin)
    if writer is None:
        return None
    try:
        # Checked after the frame was claimed: a worker that is about to stop sees the claimed
        # frame, or this process sees that the arena is closed.
        content = None if arena.closed else take(Owner(arena.id, *writer.claim))
        if content is not None:
            writer.fill(content)
    finally:
        sealed = writer.seal()  # an empty frame becomes free
    return writer.claim[0] if sealed else None
