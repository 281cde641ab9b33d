"""How long calls took."""

from collections.abc import Iterable
from typing import Final

_FRACTIONS: Final = (
    *(percent / 100 for percent in range(100)),
    *(0.995, 0.999, 0.9995, 0.9999, 0.99999, 1.0),
)


def quantiles(nanoseconds: Iterable[int]) -> dict[str, float]:
    """The distribution of some times: for each fraction of them, the microseconds they stay within.

    Args:
        nanoseconds: One time or more.

    Returns:
        Microseconds by fraction, from "0.0" (the shortest) by "0.5" and "0.99" to "1.0" (the
        longest): texts, as JSON has them.
    """
    ordered = sorted(nanoseconds)
    last = len(ordered) - 1
    return {str(part): ordered[round(part * last)] / 1000 for part in _FRACTIONS}
