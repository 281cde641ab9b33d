"""How many CPUs this process may use."""

import math
import os

from dataart_mp.config.cgroup import cpu_quota


def available_cpus() -> int:
    """Count the CPUs that this process may use.

    The affinity mask is respected (taskset, cpusets), and so is the CPU quota of a container: 1.5
    CPUs count as 2.
    """
    cpus = _schedulable_cpus()
    quota = cpu_quota()
    return cpus if quota is None else min(cpus, max(1, math.ceil(quota)))


def _schedulable_cpus() -> int:
    if hasattr(os, "process_cpu_count"):  # Python 3.13; respects -X cpu_count too
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
