"""The clock of the queue: elapsed time, by which frames age and wait.

The wall clock can be set at any time, by a person or by the network. Ages and delays measured by
it would be over at once, or never. This clock only advances, also while the machine is suspended,
and it is the same for all processes of one boot. After a restart it begins again, so a new owner of
an arena lets all ages and delays begin again, too; see `Arena.settle_in`.
"""

import functools
import time
from collections.abc import Callable


def _elapsed() -> Callable[[], int]:
    """Return the function that reads the clock, as far as this system has one."""
    try:
        clock = time.CLOCK_BOOTTIME
        time.clock_gettime_ns(clock)
    except (AttributeError, OSError):  # not Linux; then time in suspension does not count
        return time.monotonic_ns
    return functools.partial(time.clock_gettime_ns, clock)


now: Callable[[], int] = _elapsed()
"""Return the time in nanoseconds. Only differences between two times of one boot have a meaning."""
