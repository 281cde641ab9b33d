"""CPU time of other processes."""

import sys
import time
from collections.abc import Iterable
from typing import Final

_IS_LINUX: Final = sys.platform.startswith("linux")
_CPUCLOCK_SCHED: Final = (
    2  # all threads, dead ones too, in nanoseconds: include/linux/posix-timers.h
)


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU seconds that these processes have used since their start, together.

    On Linux that is exact; elsewhere it is as good as psutil (extra `bench`) has it.

    Raises:
        OSError: One of them has gone.
    """
    return sum(map(_cpu_seconds, pids))


def _cpu_seconds(pid: int) -> float:
    if _IS_LINUX:
        return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)  # what clock_getcpuclockid gives
    import psutil

    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess as error:
        raise ProcessLookupError(*error.args) from None
    return float(times.user + times.system)
