"""Multiprocess, high-throughput client (shipper) of the DataArt analytics platform.

emit ─► encode ─► append ─► claim ─► batch ─► send ─► settle
└─ your process ─────────┘ └─ worker processes ────────────┘
   client  producer/  queue/         worker/  transport/
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any, Final

if sys.platform == "win32":
    raise ImportError(
        "dataart_mp supports Linux and macOS; on Windows, run it in WSL "
        "(Windows Subsystem for Linux)"
    )

from dataart_mp.version import __version__

if TYPE_CHECKING:
    from dataart_mp import context
    from dataart_mp.client import Client
    from dataart_mp.config import ClientConfig, HTTPOptions
    from dataart_mp.errors import (
        ActionsError,
        BufferFullError,
        ClosedError,
        ConfigError,
        DataArtError,
        DescriptorsClosedError,
        EventError,
        MissingExtraError,
        NotDeliveredError,
        PartError,
        RejectedError,
        RowError,
        RowsError,
        TableError,
    )
    from dataart_mp.failure import Failure
    from dataart_mp.health import Health
    from dataart_mp.native import compiled
    from dataart_mp.protocol import AsyncDataArtClient, DataArtClient, DeliveryMark, Emitted
    from dataart_mp.stats import Outcome, Stats
    from dataart_mp.table.literal import lit

__all__ = [
    "ActionsError",
    "AsyncDataArtClient",
    "BufferFullError",
    "Client",
    "ClientConfig",
    "ClosedError",
    "ConfigError",
    "DataArtClient",
    "DataArtError",
    "DeliveryMark",
    "DescriptorsClosedError",
    "Emitted",
    "EventError",
    "Failure",
    "HTTPOptions",
    "Health",
    "MissingExtraError",
    "NotDeliveredError",
    "Outcome",
    "PartError",
    "RejectedError",
    "RowError",
    "RowsError",
    "Stats",
    "TableError",
    "__version__",
    "compiled",
    "context",
    "lit",
]

# Imported on first use: a worker process imports this package too, and needs no client.
_HOMES: Final = {
    "Client": "client",
    "ClientConfig": "config",
    "HTTPOptions": "config",
    "Failure": "failure",
    "AsyncDataArtClient": "protocol",
    "Health": "health",
    "DataArtClient": "protocol",
    "DeliveryMark": "protocol",
    "Emitted": "protocol",
    "Outcome": "stats",
    "Stats": "stats",
    "compiled": "native",
    "lit": "table.literal",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "context":  # a module of the public interface
        return importlib.import_module(f"{__name__}.{name}")
    home = importlib.import_module(f"{__name__}.{_HOMES.get(name, 'errors')}")
    value = globals()[name] = getattr(home, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
