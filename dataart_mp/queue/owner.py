"""Owner: which frame a batch belongs to while it is parked, or after it was taken back."""

from typing import NamedTuple


class Owner(NamedTuple):
    """One filling of one frame of one arena.

    A frame is filled again and again. Its generation makes each filling a different owner.

    Attributes:
        arena: The arena's id.
        frame: The frame's number.
        generation: The frame's generation.
    """

    arena: str
    frame: int
    generation: int
