"""The connections of a process, which all parts that it ships share.

Engines use a process for many parts, one after the other. A connection that is kept costs the next
part neither a TCP nor a TLS handshake.
"""

import functools
import os
from typing import Final

from dataart_mp.config import ClientConfig
from dataart_mp.transport.sender import Sender
from dataart_mp.version import __version__

_MOST_KEPT: Final = 8


@functools.lru_cache(maxsize=_MOST_KEPT)
def sender_for(config: ClientConfig, connections: int) -> Sender:
    """Return the sender of this process for a configuration.

    Args:
        config: The configuration.
        connections: How many requests are sent concurrently.
    """
    return Sender(config, connections, f"dataart_mp/{__version__} ship")


# A child would write to the connections of its parent.
os.register_at_fork(after_in_child=sender_for.cache_clear)
