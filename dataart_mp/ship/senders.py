"""The connections of a process, which all parts that it ships share.

Engines use a process for many parts, one after the other or in several threads. A connection that
is kept costs the next part neither a TCP nor a TLS handshake.
"""

import functools
import os
from typing import Final

from dataart_mp.config import ClientConfig
from dataart_mp.ship.settings import MOST_IN_FLIGHT
from dataart_mp.transport.sender import Sender
from dataart_mp.version import __version__

_MOST_SENDERS: Final = 8


@functools.lru_cache(maxsize=_MOST_SENDERS)
def sender_for(config: ClientConfig) -> Sender:
    """Return the sender of this process for a configuration."""
    return Sender(config, MOST_IN_FLIGHT, f"dataart_mp/{__version__} ship")


# A child would write to the connections of its parent.
os.register_at_fork(after_in_child=sender_for.cache_clear)
