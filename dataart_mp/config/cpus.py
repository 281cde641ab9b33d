"""How many CPUs this process may run on."""

import os


def available_cpus() -> int:
    """Count the CPUs that the scheduler lets this process use.

    The affinity mask is respected (taskset, cpuset cgroups). A CPU quota (`docker --cpus`) is not
    visible here; set `flush_num_processes` in that case.
    """
    if hasattr(os, "process_cpu_count"):  # Python 3.13; respects -X cpu_count too
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
