"""uWSGI, whose master must not have a thread of Python's.

The master loads the application and then forks its workers in C, while any thread may run. A worker
that is forked while another thread runs waits for the GIL for ever: measured, two starts of ten.
"""

import os
import sys


def is_master() -> bool:
    """Whether this process is uWSGI's master, which runs the application's module and no more."""
    uwsgi = sys.modules.get("uwsgi")  # made by uWSGI itself, before any application
    masterpid = getattr(uwsgi, "masterpid", None)
    return callable(masterpid) and masterpid() == os.getpid()
