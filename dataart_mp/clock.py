"""The clock of all waiting: seconds that only go forward, whatever happens to the time of day.

Every time-out, interval and age inside this package is measured with `monotonic`, never with
`time.time` or `datetime.now`: a step of the wall clock must neither expire nor delay anything.
`time.monotonic` would do, if the tests of applications did not freeze it: freezegun replaces it in
all modules, also where it was imported before, and a `flush(2)` would then never end. Neither
freezegun nor time-machine touches the system call below. They do freeze `datetime.now`, and so the
timestamps of events, which is what such a test wants.

All processes of a client must use this clock, since they exchange its readings. On macOS it is not
the one of `time.monotonic`.
"""

import functools
import time
from typing import Final

monotonic: Final = functools.partial(time.clock_gettime, time.CLOCK_MONOTONIC)
"""Return the time in seconds, as a float, since an unknown moment."""

monotonic_ns: Final = functools.partial(time.clock_gettime_ns, time.CLOCK_MONOTONIC)
"""Return the time in nanoseconds, as an int, since the same moment."""
