"""How many CPUs this process may run on."""

import os


def available_cpus() -> int:
    """Count the CPUs that the scheduler lets this process use.

    The affinity mask is obeyed (taskset, cpuset cgroups); a CPU quota (`docker --cpus`) is not
    seen: set `flush_num_processes` there.
    """
    if hasattr(os, "process_cpu_count"):  # Python 3.13; obeys -X cpu_count, too
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
