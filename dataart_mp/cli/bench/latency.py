"""Quantiles of call times."""

from collections.abc import Iterable
from typing import Final

_FRACTIONS: Final = (
    *(percent / 100 for percent in range(100)),
    *(0.995, 0.999, 0.9995, 0.9999, 0.99999, 1.0),
)


def quantiles(nanoseconds: Iterable[int]) -> dict[str, float]:
    """Return the distribution of call times.

    Args:
        nanoseconds: The times; at least one.

    Returns:
        Microseconds by quantile, from "0.0" (the shortest) over "0.5" (the median) and "0.99" to
        "1.0" (the longest). The keys are text, as in JSON.
    """
    ordered = sorted(nanoseconds)
    last = len(ordered) - 1
    return {str(part): ordered[round(part * last)] / 1000 for part in _FRACTIONS}
