"""`select.poll`, also after a library has removed it from its module.

gevent replaces it by one that lets other greenlets run, so it is looked up for each call. eventlet
removes it, also from under threads that run already.
"""

import select
from typing import Any, Final

# None if it was removed before this import; `Client` refuses to work then.
_original: Final[Any] = getattr(select, "poll", None)


def make_poll() -> "select.poll":
    """Return a new poll object."""
    poll: select.poll = getattr(select, "poll", _original)()
    return poll
