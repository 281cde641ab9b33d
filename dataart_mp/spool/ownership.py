"""Ownership: whose a parked batch is, as the arenas of a spool tell."""

from collections.abc import Sequence

from dataart_mp.queue.arena import FREE, SETTLED, Arena
from dataart_mp.queue.owner import Owner
from dataart_mp.spool.arenas import arenas_beside, is_beside


class Ownership:
    """What one client may take from the parking lot: its own, and what those left who are gone.

    Args:
        arena: the client's, a file of the spool.
    """

    def __init__(self, arena: Arena) -> None:
        self._arena = arena

    def others(self) -> Sequence[str]:
        """The arenas of other clients; what they have parked is theirs.

        A client may come when this has been said: `is_over` has the last word.
        """
        return [name for name in arenas_beside(self._arena) if name != self._arena.id]

    def is_over(self, owner: Owner) -> bool:
        """Whether a batch that these owner had, ours or those of the dead, is in them no more."""
        if owner.arena != self._arena.id:
            return not is_beside(self._arena, owner.arena)
        return self._arena.generation(owner.frame) != owner.generation or self._arena.state(
            owner.frame
        ) in (FREE, SETTLED)
