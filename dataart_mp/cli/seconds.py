"""Seconds as an option's value."""

import math
from typing import Any, Final

import click

_MOST: Final = 1_000_000.0  # beyond some number, clocks and sockets overflow


class Seconds(click.FloatRange):
    """A finite number of seconds.

    Args:
        positive: Whether 0 is refused.
    """

    name = "seconds"

    def __init__(self, *, positive: bool = False) -> None:
        super().__init__(min=0, min_open=positive, max=_MOST)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read one; NaN is in no range, though click's comparisons let it pass."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return number
