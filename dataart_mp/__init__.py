"""Multiprocess, high-throughput client (shipper) of the DataArt analytics platform.

emit ─► encode ─► put ─► claim ─► batch ─► send ─► settle
└─ your process ──────┘ └─ worker processes ────────────┘
   client  producer/  queue/        worker/
"""

from dataart_mp.client import Client
from dataart_mp.config import ClientConfig, HTTPOptions
from dataart_mp.errors import (
    ActionsError,
    BufferFullError,
    ClosedError,
    ConfigError,
    DataArtError,
    EventError,
)
from dataart_mp.failure import Failure
from dataart_mp.protocol import DataArtClient, Emitted
from dataart_mp.stats import Stats
from dataart_mp.version import __version__

__all__ = [
    "ActionsError",
    "BufferFullError",
    "Client",
    "ClientConfig",
    "ClosedError",
    "ConfigError",
    "DataArtClient",
    "DataArtError",
    "Emitted",
    "EventError",
    "Failure",
    "HTTPOptions",
    "Stats",
    "__version__",
]
