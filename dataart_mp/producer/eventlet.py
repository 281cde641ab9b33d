"""Detect `eventlet.monkey_patch()`, under which a client cannot work.

It replaces threads by greenlets, which must not block, and removes `select.poll`, by which they
could wait for pipes without blocking.
"""

import sys
from typing import Final

REFUSAL: Final = (
    "eventlet.monkey_patch() is active, and dataart_mp does not work with it; use threads or "
    "gevent instead of eventlet"
)

_MODULES: Final = ("os", "select", "socket", "thread", "time")


def is_patched() -> bool:
    """Whether eventlet has replaced modules of the standard library that a client needs."""
    patcher = sys.modules.get("eventlet.patcher")
    is_monkey_patched = getattr(patcher, "is_monkey_patched", None)
    return callable(is_monkey_patched) and any(map(is_monkey_patched, _MODULES))
