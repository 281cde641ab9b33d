"""The settings of a sink."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024
WEEK_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkSettings:
    """Settings of a sink.

    Attributes:
        host: Address to listen on; must be a loopback address, unless `allow_remote` is set.
        port: Port to listen on; 0: any free port.
        api_key: The only accepted X-API-Key; None: any that is not empty.
        keep: Number of items of each kind kept for `/_sink/events` and `/_sink/identities`.
        keep_requests: Number of requests kept for `/_sink/requests` and for `/_sink/rejected`.
        keep_seconds: Seconds for which items and requests are kept at most.
        search_seconds: Longest time for a search through the kept items, in seconds.
        database: SQLite file for the kept items and requests, from which a restarted sink restores
            its counts; None: they are kept in memory.
        id_field: Field of an action's metadata by which arrivals are counted for `/_sink/ids`.
        max_body_bytes: Largest accepted body, as sent and as decompressed.
        keep_alive: Seconds for which an idle connection stays open.
        journal: File to which accepted requests are appended, and from which a restarted sink
            restores its counts; None: the counts end with the process.
        allow_hosts: Accepted host names, besides localhost and the address itself.
        allow_remote: Whether the sink may listen on an address that other machines can reach.
        until_eof: Whether the sink also stops at the end of standard input, which is when the
            process that started it ends.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    api_key: str | None = None
    keep: int = 100_000
    keep_requests: int = 10_000
    keep_seconds: float = WEEK_SECONDS
    search_seconds: float = 5.0
    database: Path | None = None
    id_field: str = "_id"
    max_body_bytes: int = 32 * MIB
    keep_alive: float = 60.0
    journal: Path | None = None
    allow_hosts: tuple[str, ...] = ()
    allow_remote: bool = False
    until_eof: bool = False

    def __post_init__(self) -> None:
        if not self.allow_remote and not _is_loopback(self.host):
            raise ValueError(
                f"host: {self.host!r} is not a loopback address, and other machines could reach "
                "the sink, which has no access control; use 127.0.0.1, or allow remote access"
            )
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port: {self.port} is not between 0 and 65535")
        for name in ("keep", "keep_requests", "max_body_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is less than 1")
        for name in ("keep_alive", "keep_seconds", "search_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: {getattr(self, name)} is not more than 0 seconds")
        if self.journal is not None and self.database is not None:
            raise ValueError(
                "database: the journal and the database are mutually exclusive; use one of them"
            )
        if self.api_key == "":
            raise ValueError("api_key: is empty; omit it to accept any key")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
