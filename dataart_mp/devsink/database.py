"""The kept requests and items, in SQLite.

    requests, rejected     one row a request: number, time, about (JSON)
    actions, identities    one row a request, too: last, time, …, items (JSON Lines)
    events, users          views of these, one row an item, for whoever opens the file

A row for each request, not for each item: that is ten times cheaper to write, and reading it all
for what is looked for takes a tenth of a second for a million items.
"""

from __future__ import annotations

import contextlib
import heapq
import sqlite3
import time
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import orjson

from dataart_mp.devsink.delivery import Arrival, Delivery
from dataart_mp.devsink.head import KINDS, Kind
from dataart_mp.devsink.tally import Doubles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dataart_mp.devsink.query import Query
    from dataart_mp.devsink.settings import SinkSettings
    from dataart_mp.devsink.visit import Visit

_OURS: Final = 0xDA7A  # PRAGMA application_id
_VISITS: Final = ("requests", "rejected")
_PATHS: Final = {kind: path for path, kind in KINDS.items()}
# Rows in one statement.
_ROWS: Final = 100

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS {visits} (
    number INTEGER PRIMARY KEY, time REAL NOT NULL, about TEXT NOT NULL
);
"""
_ITEMS: Final = """
CREATE TABLE IF NOT EXISTS {kind} (
    last INTEGER PRIMARY KEY,    -- number of the last item in this row
    count INTEGER NOT NULL,      -- how many there are
    time REAL NOT NULL,          -- when they were accepted
    request INTEGER NOT NULL,    -- number of the request
    doubles TEXT NOT NULL,       -- which of them had come before: [index, …]
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
"""  # noqa: S608 - no part of it comes from outside


class Database:
    """Bounded by count and by age. For one thread at a time.

    Args:
        settings: Where, how much and how long.

    Raises:
        ValueError: The file is no sink's database, or cannot be opened.
    """

    def __init__(self, settings: SinkSettings) -> None:
        self._keep = settings.keep
        self._keep_requests = settings.keep_requests
        self._keep_seconds = settings.keep_seconds
        self._connection = _opened(settings.database)
        self._sizes: dict[str, int] = {
            **{table: self._value(f"count(*) FROM {table}") for table in _VISITS},
            **{kind: self._value(f"sum(count) FROM {kind}") for kind in _PATHS},
        }

    @property
    def newest_request(self) -> int:
        """Number of the newest request; 0: there is none."""
        items = (self._value(f"max(request) FROM {kind}") for kind in _PATHS)
        return max(self._value("max(number) FROM requests"), *items)

    def newest(self, kind: Kind) -> int:
        """Number of the newest item of a kind; 0: there is none."""
        return self._value(f"max(last) FROM {kind}")

    def write(self, visits: Sequence[Visit], deliveries: Sequence[Delivery]) -> None:
        """Keep these, and forget what is too much or too old."""
        with self._transaction():
            self._write_visits("requests", visits)
            self._write_visits("rejected", [one for one in visits if one.outcome == "rejected"])
            for kind in _PATHS:
                self._write_items(kind, [one for one in deliveries if one.kind == kind])
        self.prune()

    def prune(self) -> None:
        """Forget what is too much or too old."""
        horizon = time.time() - self._keep_seconds
        with self._transaction():
            for table in _VISITS:
                self._prune(table, "number", "1", self._keep_requests, horizon)
            for kind in _PATHS:
                self._prune(kind, "last", "count", self._keep, horizon)

    def clear(self) -> None:
        """Forget everything."""
        with self._transaction():
            for table in (*_VISITS, *_PATHS):
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608
        self._sizes = dict.fromkeys(self._sizes, 0)

    def visits(self, table: str, limit: int) -> list[dict[str, Any]]:
        """The newest requests, or rejected ones, oldest first."""
        rows = self._connection.execute(
            f"SELECT about FROM {table} ORDER BY number DESC LIMIT ?",  # noqa: S608
            (limit,),
        )
        return [orjson.loads(about) for (about,) in rows][::-1]

    def select(self, query: Query) -> list[Arrival]:
        """The newest items that match, oldest first."""
        sources = [self._matches(kind, query) for kind in _PATHS if query.concerns(kind)]
        newest_first = heapq.merge(*sources, key=lambda arrival: -arrival.time)
        return list(islice(newest_first, query.limit))[::-1]

    def entries(self) -> Iterator[dict[str, Any]]:
        """The kept items as the requests that brought them: what a journal would say of them."""
        for kind, path in _PATHS.items():
            rows = self._connection.execute(
                "SELECT kept.time, items, about "  # noqa: S608
                f"FROM {kind} AS kept LEFT JOIN requests ON number = request ORDER BY last"
            )
            for moment, items, about in rows:
                visit = orjson.loads(about) if about else {}
                yield {
                    "time": moment,
                    "path": visit.get("path", path),
                    "kind": kind,
                    "size": visit.get("bytes", 0),
                    "status": visit.get("status", 200),
                    "idempotency_key": visit.get("idempotency_key"),
                    "items": [orjson.loads(item) for item in items.split("\n")],
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

    def _write_visits(self, table: str, visits: Sequence[Visit]) -> None:
        rows = [(one.number, one.time, _text(orjson.dumps(one.as_json()))) for one in visits]
        self._insert(table, rows)
        self._sizes[table] += len(rows)

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
        # Whole rows go: never so many that less than is to be kept remains.
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

    def _matches(self, kind: Kind, query: Query) -> Iterator[Arrival]:
        condition, params = query.condition()
        floor = self.newest(kind) - self._keep
        rows = self._connection.execute(
            f"SELECT last, time, request, doubles, explained, items FROM {kind} "  # noqa: S608
            f"WHERE last > ? AND {condition} ORDER BY last DESC",
            (floor, *params),
        )
        for last, moment, request, doubles, explained, items in rows:
            delivery = Delivery(
                kind,
                last,
                moment,
                request,
                Doubles(tuple(orjson.loads(doubles)), bool(explained)),
                items.encode().split(b"\n"),
            )
            first = last - len(delivery) + 1
            for index in range(len(delivery) - 1, max(-1, floor - first), -1):
                if query.matches(delivery.encoded[index]):
                    yield delivery[index]


def _row(delivery: Delivery) -> tuple[object, ...]:
    return (
        delivery.last,
        len(delivery),
        delivery.time,
        delivery.request,
        _text(orjson.dumps(delivery.doubles.indices)),
        delivery.doubles.explained,
        # orjson writes no newline within an item.
        _text(b"\n".join(delivery.encoded)),
    )


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
        raise ValueError(f"database: {path}: {error}; name another file") from None
    return connection


def _prepare(connection: sqlite3.Connection, path: Path | None) -> None:
    [owner] = connection.execute("PRAGMA application_id").fetchone()
    [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner != _OURS and tables:
        raise ValueError(f"database: {path}: is not a sink's; name another file")
    connection.execute("PRAGMA journal_mode = WAL")
    # It is to outlive the process, not the machine.
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA busy_timeout = 1000")
    connection.execute(f"PRAGMA application_id = {_OURS}")
    for table in _VISITS:
        connection.execute(_TABLE.format(visits=table))
    for kind in _PATHS:
        connection.execute(_ITEMS.format(kind=kind))
    connection.executescript(_VIEWS)
