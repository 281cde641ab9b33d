"""The kept requests and items, in SQLite.

    requests, rejected     one row per request: number, time, about (JSON)
    bodies                 the bodies of rejected requests: number, time, body
    actions, identities    one row per request too: last, time, …, items (JSON Lines)
    events, users          views of these with one row per item, for users who open the file

A row per request instead of per item is ten times cheaper to write; a search through all rows takes
a tenth of a second for a million items.
"""

from __future__ import annotations

import contextlib
import heapq
import sqlite3
import time
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import orjson

from dataart_mp.devsink.counters.item_counter import Duplicates
from dataart_mp.devsink.http.rejection import RejectionError
from dataart_mp.devsink.protocol.exact_json import loads
from dataart_mp.devsink.protocol.kind import KINDS, Kind
from dataart_mp.devsink.store.delivery import Arrival, Delivery
from dataart_mp.devsink.store.time_limit import TimeLimit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dataart_mp.devsink.counters.logged_request import LoggedRequest
    from dataart_mp.devsink.settings import SinkSettings
    from dataart_mp.devsink.store.query import Query

_OURS: Final = 0xDA7A  # PRAGMA application_id
_REQUEST_TABLES: Final = ("requests", "rejected")
_PATHS: Final = {kind: path for path, kind in KINDS.items()}
# Rows per statement.
_ROWS: Final = 100
# Bytes kept of one body of a rejected request, and of all of them.
_KEEP_BODY: Final = 256 * 1024
_KEEP_BODIES: Final = 32 * 1024 * 1024
# Seconds that the matches of a search may be counted for.
_COUNT_SECONDS: Final = 1.0

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS {table} (
    number INTEGER PRIMARY KEY, time REAL NOT NULL, about TEXT NOT NULL
);
"""
_BODIES: Final = """
CREATE TABLE IF NOT EXISTS bodies (
    number INTEGER PRIMARY KEY, time REAL NOT NULL, body BLOB NOT NULL
);
"""
_ITEMS: Final = """
CREATE TABLE IF NOT EXISTS {kind} (
    last INTEGER PRIMARY KEY,    -- number of the last item in this row
    count INTEGER NOT NULL,      -- number of items in this row
    time REAL NOT NULL,          -- when they were accepted
    request INTEGER NOT NULL,    -- number of the request
    duplicates TEXT NOT NULL,       -- which of the items arrived before: [index, …]
    explained INTEGER NOT NULL,  -- whether the request repeats an accepted one
    items TEXT NOT NULL          -- JSON Lines
);
"""
_EACH: Final = "json_each('[' || replace(items, char(10), ',') || ']')"
_VIEWS: Final = f"""
CREATE VIEW IF NOT EXISTS events AS SELECT
    last - count + 1 + key AS number, actions.time, request,
    value ->> 'key' AS key, value ->> 'user_key' AS user_key,
    value ->> 'is_anonymous_user' AS is_anonymous_user, value ->> 'timestamp' AS timestamp,
    value -> 'metadata' AS metadata
FROM actions, {_EACH};
CREATE VIEW IF NOT EXISTS users AS SELECT
    last - count + 1 + key AS number, identities.time, request,
    value ->> 'user_key' AS user_key, value -> 'metadata' AS metadata
FROM identities, {_EACH};
"""  # noqa: S608 - no part of it is user input


class Database:
    """A database that is limited by count and by age. Not thread-safe.

    Args:
        settings: Settings of the sink.

    Raises:
        ValueError: The file is not the database of a sink, or cannot be opened.
    """

    def __init__(self, settings: SinkSettings) -> None:
        self._keep = settings.keep
        self._keep_requests = settings.keep_requests
        self._keep_seconds = settings.keep_seconds
        self._search_seconds = settings.search_seconds
        self._connection = _opened(settings.database)
        self._sizes: dict[str, int] = {
            **{table: self._value(f"count(*) FROM {table}") for table in _REQUEST_TABLES},
            **{kind: self._value(f"sum(count) FROM {kind}") for kind in _PATHS},
            "bodies": self._value("sum(length(body)) FROM bodies"),
        }

    @property
    def newest_request(self) -> int:
        """Number of the newest request; 0: there is none."""
        items = (self._value(f"max(request) FROM {kind}") for kind in _PATHS)
        return max(self._value("max(number) FROM requests"), *items)

    def newest(self, kind: Kind) -> int:
        """Return the number of the newest item of a kind; 0: there is none."""
        return self._value(f"max(last) FROM {kind}")

    def write(self, requests: Sequence[LoggedRequest], deliveries: Sequence[Delivery]) -> None:
        """Write requests and deliveries, then delete what exceeds the limits."""
        with self._transaction():
            self._write_requests("requests", requests)
            rejected = [one for one in requests if one.outcome == "rejected"]
            self._write_requests("rejected", rejected)
            self._write_bodies(rejected)
            for kind in _PATHS:
                self._write_items(kind, [one for one in deliveries if one.kind == kind])
        self.prune()

    def prune(self) -> None:
        """Delete what exceeds the limits of count and age."""
        horizon = time.time() - self._keep_seconds
        with self._transaction():
            for table in _REQUEST_TABLES:
                self._prune(table, "number", "1", self._keep_requests, horizon)
            self._prune("bodies", "number", "length(body)", _KEEP_BODIES, horizon)
            for kind in _PATHS:
                self._prune(kind, "last", "count", self._keep, horizon)

    def clear(self) -> None:
        """Delete everything."""
        with self._transaction():
            for table in (*_REQUEST_TABLES, "bodies", *_PATHS):
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608
        self._sizes = dict.fromkeys(self._sizes, 0)

    def requests(self, limit: int) -> list[dict[str, Any]]:
        """Return the newest requests, oldest first."""
        rows = self._connection.execute(
            "SELECT about FROM requests ORDER BY number DESC LIMIT ?", (limit,)
        )
        return [orjson.loads(about) for (about,) in rows][::-1]

    def rejected(self, limit: int, number: int | None = None) -> list[dict[str, Any]]:
        """Return the newest wrong requests with their bodies, oldest first.

        Args:
            limit: Maximum number of requests.
            number: Only the request with this number; None: any.
        """
        rows = self._connection.execute(
            "SELECT about, body FROM rejected LEFT JOIN bodies USING (number) "
            "WHERE ? IS NULL OR number = ? ORDER BY number DESC LIMIT ?",
            (number, number, limit),
        )
        return [
            {**orjson.loads(about), "body": None if body is None else _readable(body)}
            for about, body in rows
        ][::-1]

    def search(self, query: Query) -> tuple[list[Arrival], int | None]:
        """Return what `select` does, and the number of all items that match.

        Returns:
            The number is None if counting takes too long.
        """
        found = self.select(query)
        if len(found) < query.limit:
            return found, len(found)
        if query.is_open:
            return found, sum(self._sizes[kind] for kind in _PATHS if query.includes(kind))
        try:
            return found, self._count(query)
        except RejectionError:
            return found, None

    def select(self, query: Query) -> list[Arrival]:
        """Return the newest items that match, oldest first.

        Raises:
            RejectionError: The search takes too long.
        """
        if query.is_open:
            return self._selected(query, None)
        with TimeLimit(self._connection, self._search_seconds) as limit:
            return self._selected(query, limit)

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the kept items per request, as entries of a journal."""
        for kind, path in _PATHS.items():
            rows = self._connection.execute(
                "SELECT kept.time, items, about "  # noqa: S608
                f"FROM {kind} AS kept LEFT JOIN requests ON number = request ORDER BY last"
            )
            for moment, items, about in rows:
                logged = orjson.loads(about) if about else {}
                yield {
                    "time": moment,
                    "path": logged.get("path", path),
                    "kind": kind,
                    "size": logged.get("bytes", 0),
                    "status": logged.get("status", 200),
                    "idempotency_key": logged.get("idempotency_key"),
                    "items": [loads(item.encode()) for item in items.split("\n")],
                }

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _value(self, what: str) -> int:
        value = self._connection.execute(f"SELECT {what}").fetchone()[0]
        return value or 0

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _write_requests(self, table: str, requests: Sequence[LoggedRequest]) -> None:
        rows = [(one.number, one.time, _text(orjson.dumps(one.as_json()))) for one in requests]
        self._insert(table, rows)
        self._sizes[table] += len(rows)

    def _write_bodies(self, rejected: Sequence[LoggedRequest]) -> None:
        bodies = [(one.number, one.time, one.body[:_KEEP_BODY]) for one in rejected if one.body]
        self._insert("bodies", bodies)
        self._sizes["bodies"] += sum(len(body) for _, _, body in bodies)

    def _write_items(self, kind: Kind, deliveries: Sequence[Delivery]) -> None:
        rows = [_row(delivery) for delivery in deliveries]
        self._insert(kind, rows)
        self._sizes[kind] += sum(map(len, deliveries))

    def _insert(self, table: str, rows: Sequence[tuple[object, ...]]) -> None:
        for start in range(0, len(rows), _ROWS):
            some = rows[start : start + _ROWS]
            places = f"({', '.join('?' * len(some[0]))})"
            self._connection.execute(
                f"INSERT INTO {table} VALUES {', '.join([places] * len(some))}",  # noqa: S608
                [value for row in some for value in row],
            )

    def _prune(self, table: str, key: str, count: str, keep: int, horizon: float) -> None:
        # Only whole rows are deleted, and at least as many items as the limit remain.
        gone = None
        rows = self._connection.execute(f"SELECT {key}, {count}, time FROM {table} ORDER BY {key}")  # noqa: S608
        for last, size, moment in rows:
            if self._sizes[table] - size < keep and moment >= horizon:
                break
            self._sizes[table] -= size
            gone = last
        rows.close()
        if gone is not None:
            self._connection.execute(f"DELETE FROM {table} WHERE {key} <= ?", (gone,))  # noqa: S608

    def _selected(self, query: Query, limit: TimeLimit | None) -> list[Arrival]:
        sources = [self._matches(kind, query, limit) for kind in _PATHS if query.includes(kind)]
        newest_first = heapq.merge(*sources, key=lambda arrival: -arrival.time)
        return list(islice(newest_first, query.limit))[::-1]

    def _count(self, query: Query) -> int:
        seconds = min(self._search_seconds, _COUNT_SECONDS)
        with TimeLimit(self._connection, seconds) as limit:
            return sum(
                1
                for kind in _PATHS
                if query.includes(kind)
                for _ in self._places(kind, query, limit)
            )

    def _matches(self, kind: Kind, query: Query, limit: TimeLimit | None) -> Iterator[Arrival]:
        for delivery, index in self._places(kind, query, limit):
            yield delivery[index]

    def _places(
        self, kind: Kind, query: Query, limit: TimeLimit | None
    ) -> Iterator[tuple[Delivery, int]]:
        """Yield the deliveries with matching items, newest first, each with the item's index."""
        condition, params = query.condition()
        floor = self.newest(kind) - self._keep
        rows = self._connection.execute(
            f"SELECT last, time, request, duplicates, explained, items FROM {kind} "  # noqa: S608
            f"WHERE last > ? AND {condition} ORDER BY last DESC",
            (floor, *params),
        )
        for last, moment, request, duplicates, explained, items in rows:
            delivery = Delivery(
                kind,
                last,
                moment,
                request,
                Duplicates(tuple(orjson.loads(duplicates)), bool(explained)),
                items.encode().split(b"\n"),
            )
            first = last - len(delivery) + 1
            for index in range(len(delivery) - 1, max(-1, floor - first), -1):
                if limit is not None:
                    limit.check()
                if query.selects(delivery, index):
                    yield delivery, index


def _row(delivery: Delivery) -> tuple[object, ...]:
    return (
        delivery.last,
        len(delivery),
        delivery.time,
        delivery.request,
        _text(orjson.dumps(delivery.duplicates.indices)),
        delivery.duplicates.explained,
        # orjson writes no newline within an item.
        _text(b"\n".join(delivery.encoded)),
    )


def _readable(body: bytes) -> str:
    return body.decode(errors="backslashreplace")


def _text(content: bytes) -> str:
    return content.decode()


def _opened(path: Path | None) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            ":memory:" if path is None else path,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=2 * _ROWS,
        )
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    except sqlite3.DatabaseError as error:
        raise ValueError(f"database: {path}: {error}; use another file") from None
    return connection


def _prepare(connection: sqlite3.Connection, path: Path | None) -> None:
    [owner] = connection.execute("PRAGMA application_id").fetchone()
    [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner != _OURS and tables:
        raise ValueError(f"database: {path}: is not the database of a sink; use another file")
    connection.execute("PRAGMA journal_mode = WAL")
    # The data must survive the end of the process, not of the machine.
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA busy_timeout = 1000")
    connection.execute(f"PRAGMA application_id = {_OURS}")
    for table in _REQUEST_TABLES:
        connection.execute(_TABLE.format(table=table))
    connection.execute(_BODIES)
    for kind in _PATHS:
        connection.execute(_ITEMS.format(kind=kind))
    connection.executescript(_VIEWS)
