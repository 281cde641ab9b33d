"""Custody: whose a parked batch is, as the arenas of a spool tell."""

from collections.abc import Sequence

from dataart_mp.parking.parcel import Hands
from dataart_mp.queue.arena import FREE, SETTLED, Arena
from dataart_mp.queue.spool import arenas_beside, is_beside


class Custody:
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

    def is_over(self, hands: Hands) -> bool:
        """Whether a batch that these hands had, ours or those of the dead, is in them no more."""
        if hands.arena != self._arena.id:
            return not is_beside(self._arena, hands.arena)
        return self._arena.generation(hands.frame) != hands.generation or self._arena.state(
            hands.frame
        ) in (FREE, SETTLED)
