"""The option type for a number of seconds."""

import math
from typing import Any, Final

import click

_MAX_SECONDS: Final = 1_000_000.0  # far larger numbers overflow clocks and sockets


class Seconds(click.FloatRange):
    """A finite number of seconds.

    Args:
        positive: Whether 0 is refused.
    """

    name = "seconds"

    def __init__(self, *, positive: bool = False) -> None:
        super().__init__(min=0, min_open=positive, max=_MAX_SECONDS)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert the option's text; refuses NaN, which passes click's comparisons."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return number
