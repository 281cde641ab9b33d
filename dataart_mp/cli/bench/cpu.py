"""CPU time of other processes."""

import sys
import time
from collections.abc import Iterable
from typing import Final

_IS_LINUX: Final = sys.platform.startswith("linux")
# From include/linux/posix-timers.h: all threads, including those that have ended, in nanoseconds.
_CPUCLOCK_SCHED: Final = 2


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU seconds that processes have used since their start, in total.

    The result is exact on Linux; elsewhere it is as precise as psutil (extra `bench`).

    Args:
        pids: The ids of the processes.

    Raises:
        OSError: One of them does not exist.
    """
    return sum(map(_cpu_seconds, pids))


def _cpu_seconds(pid: int) -> float:
    if _IS_LINUX:
        return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)  # as clock_getcpuclockid does
    import psutil

    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess as error:
        raise ProcessLookupError(*error.args) from None
    return float(times.user + times.system)
