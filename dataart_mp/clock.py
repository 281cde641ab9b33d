"""The clocks of all waiting and ages: they only go forward, whatever happens to the time of day.

Every time-out, interval and age inside this package is measured with `monotonic`, never with
`time.time` or `datetime.now`: a step of the wall clock must neither expire nor delay anything.
`time.monotonic` would do, if the tests of applications did not freeze it: freezegun replaces it in
all modules, also where it was imported before, and a `flush(2)` would then never end. Neither
freezegun nor time-machine touches the system call below. They do freeze `datetime.now`, and so the
timestamps of events, which is what such a test wants.

All processes of a client must use this clock, since they compare its readings. On macOS it is not
the one of `time.monotonic`.
"""

import functools
import time
from collections.abc import Callable
from typing import Final

monotonic: Final = functools.partial(time.clock_gettime, time.CLOCK_MONOTONIC)
"""Return the time in seconds, as a float, since an unknown moment."""

monotonic_ns: Final = functools.partial(time.clock_gettime_ns, time.CLOCK_MONOTONIC)
"""Return the time in nanoseconds, as an int, since the same moment."""


def _elapsed_clock() -> int:
    """Return which clock of the system measures ages."""
    try:
        clock = time.CLOCK_BOOTTIME
        time.clock_gettime_ns(clock)
    except (AttributeError, OSError):  # not Linux; then time in suspension does not count
        return time.CLOCK_MONOTONIC
    return clock


def _elapsed() -> Callable[[], int]:
    """Return the function that reads the clock of ages, as far as this system has one."""
    clock = _elapsed_clock()
    if clock == time.CLOCK_MONOTONIC:
        return monotonic_ns
    return functools.partial(time.clock_gettime_ns, clock)


CLOCK: Final = _elapsed_clock()
"""The clock that `now` reads, as `clock_gettime` names it."""


now: Callable[[], int] = _elapsed()
"""Return the time by which frames age and wait, in nanoseconds.

It also advances while the machine is suspended, and it is the same for all processes of one boot.
Only differences between two times of one boot have a meaning. After a restart it begins again, so
a new owner of an arena lets all ages and delays begin again, too; see `Arena.settle_in`.
"""
