"""Ownership: which parked batches a client may take, decided by the arenas of the spool.

    owner of the batch                                    the client may take it
    a frame of the same arena that still holds the batch   no: the frame's worker continues
    a frame of the same arena that was settled since       yes
    a frame of the arena of a live client                 no: the batch is that client's
    a frame of an arena whose file was removed            yes: that client has ended

The state and the generation of a frame are in shared memory, and a frame is settled by one store.
So a batch has exactly one owner, at whatever moment a process dies.
"""

from collections.abc import Sequence

from dataart_mp.queue.arena import FREE, SETTLED, Arena
from dataart_mp.queue.owner import Owner
from dataart_mp.spool import arena_file


class Ownership:
    """Decides which parked batches one client may take: its own, and those of ended clients.

    Args:
        arena: The client's arena, which is a file of the spool.
    """

    def __init__(self, arena: Arena) -> None:
        self._arena = arena

    @property
    def arena_id(self) -> str:
        """The id of the client's arena."""
        return self._arena.id

    def other_arenas(self) -> Sequence[str]:
        """Return the ids of the arenas of other clients, whose parked batches belong to them.

        A query that excludes them need not call `may_take` for each of their batches. It must
        still call `may_take` for the others, because a client may start after this call.

        Raises:
            OSError: The spool cannot be read.
        """
        return [name for name in arena_file.ids_beside(self._arena) if name != self._arena.id]

    def may_take(self, owner: Owner) -> bool:
        """Return whether the client may take, or remove, a batch that has this owner.

        Raises:
            OSError: The spool cannot be read.
        """
        if owner.arena != self._arena.id:
            return not arena_file.is_beside(self._arena, owner.arena)
        return self._arena.generation(owner.frame) != owner.generation or self._arena.state(
            owner.frame
        ) in (FREE, SETTLED)
