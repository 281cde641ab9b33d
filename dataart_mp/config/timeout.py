"""The check of a timeout that is passed to a call, such as `flush`."""

import contextlib
import math
from numbers import Real

from dataart_mp.errors import short_repr


def checked_timeout(timeout: object) -> float | None:
    """Return a timeout in seconds; None stands for a wait without a limit.

    Args:
        timeout: The argument of the call.

    Raises:
        ValueError: It is not a finite number of zero or more, and not None.
    """
    if timeout is None:
        return None
    seconds = math.nan
    is_flag = isinstance(timeout, bool)
    if isinstance(timeout, Real) and not is_flag:
        with contextlib.suppress(OverflowError):  # an int of more than 308 digits
            seconds = float(timeout)
    if math.isfinite(seconds) and seconds >= 0:
        return seconds
    raise ValueError(
        f"timeout={short_repr(timeout)}: must be seconds, a finite number of zero or more; "
        "pass None to wait without a limit"
    )
