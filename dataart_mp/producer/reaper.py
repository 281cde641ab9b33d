"""The reaper: a thread that reaps processes of closed clients, and ends when there are none.

The interpreter that forks a worker is a child of this process until it has forked, which may take
long on a slow machine. The worker is a child of process 1, which in a container may be this one.
"""

import os
import time
from typing import Final

from dataart_mp.producer import threads, uwsgi
from dataart_mp.supervision import adopted, launches

_FIRST_PAUSE_SECONDS: Final = 0.01
_LONGEST_PAUSE_SECONDS: Final = 1.0

# By process id: a forked child has none of the parent's threads.
_threads: Final[dict[int, threads.Thread]] = {}


def ensure_running() -> None:
    """Reap what has ended; if something has not ended yet, leave it to a thread.

    Raises:
        RuntimeError: The system cannot start a thread at the moment.
    """
    thread = _threads.get(os.getpid())
    if _reap() and not uwsgi.is_master() and (thread is None or thread.has_ended.is_set()):
        _threads.clear()
        thread = _threads.setdefault(os.getpid(), threads.Thread(_run, "reaper"))
        threads.start(thread)


def _run() -> None:
    pause = _FIRST_PAUSE_SECONDS
    while _reap():
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _reap() -> bool:
    """Reap what has ended; return whether something is left."""
    is_launch_left = launches.reap_abandoned()
    return adopted.reap() or is_launch_left
