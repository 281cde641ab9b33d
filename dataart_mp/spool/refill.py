"""Restocking: a frame is filled from a parked batch.

    FREE ──open──► FILLING ──take──► FILLING ──copy──► FILLING ──seal──► READY
                        the parked batch is in its owner from here on

Should the process die on the way, the frame becomes free, and with that the batch is in nobody's
owner again: what is parked is removed only when it is through.
"""

from collections.abc import Callable

from dataart_mp.queue.account import ACTIONS, IDENTITY
from dataart_mp.queue.arena import Arena
from dataart_mp.queue.frame_writer import FrameWriter, Origin
from dataart_mp.queue.owner import Owner


def restock(
    arena: Arena,
    origin: Origin,
    *,
    is_identity: bool,
    count: int,
    take: Callable[[Owner], bytes | None],
) -> int | None:
    """Fill a free frame.

    Args:
        arena: where.
        origin: the parked batch.
        is_identity: whether it is one identity, or else actions.
        count: its records.
        take: gives it into the owner of the frame, and returns its records; None: somebody was
            quicker.

    Returns:
        The frame, READY; None when no frame is free, somebody was quicker, or the arena is closed.
    """
    writer = FrameWriter.open(arena, IDENTITY if is_identity else ACTIONS, count, 0.0, origin)
    if writer is None:
        return None
    try:
        # Asked after the frame was taken: a worker that leaves sees it, or we see the end.
        content = None if arena.closed else take(Owner(arena.id, *writer.claim))
        if content is not None:
            writer.fill(content)
    finally:
        sealed = writer.seal()  # an empty one becomes free
    return writer.claim[0] if sealed else None
