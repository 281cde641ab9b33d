"""The account of a frame."""

from typing import NamedTuple


class Evicted(NamedTuple):
    """Parked records that were discarded to make room for others.

    Attributes:
        own: Those that the balance of the frame's own arena counted as parked.
        adopted: Those of clients that are gone.
    """

    own: int
    adopted: int
