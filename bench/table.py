"""Rows of a table: `emit_table`, `emit_actions` of dicts, and loops of `emit_action`.

The rows are flights: the sample of the tests, repeated. The table is a DataFrame of pandas, as an
application would have it; making it is not measured. The buffer is large enough for most of the
rows, and workers deliver meanwhile.
"""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Any, Final

from bench.nginx import SpeedSink
from bench.settings import Scale, wire
from dataart_mp import Client, ClientConfig
from dataart_mp.cli.bench import load
from dataart_mp.cli.bench.cpu import cpu_seconds
from dataart_mp.cli.bench.fresh import fresh
from dataart_mp.cli.bench.measurement import Column, Sample

COLUMNS: Final = (
    Column("rows/s", "rows_per_second"),
    Column("ns a row", "ns_per_row"),
    Column("CPU ns a row", "cpu_ns_per_row"),
    Column("delivered/s", "events_per_second"),
    Column("CPU s/million", "cpu_per_million", 2),
)
TABLE: Final = "emit_table"
DICTS: Final = "emit_actions of to_dict()"
TUPLES: Final = "loop of emit_action, itertuples()"
RECORDS: Final = "loop of emit_action, to_dict()"
READY: Final = "loop of emit_action, values made before"

_ROWS: Final = 1_000_000
_FLIGHTS: Final = Path(__file__).parents[1] / "tests/data/flights.jsonl"
_ROOMY: Final[dict[str, Any]] = {"flush_actions_batch_size": 500, "flush_buffer_size": 2000}
_METADATA: Final = (
    *("row", "carrier", "flight", "origin", "dest", "distance", "dep_time", "dep_delay"),
    *("sched_arr_time", "arr_time", "arr_delay", "air_time"),
)

Emit = Callable[[Client, Any], object]


def cases(sink: SpeedSink, scale: Scale) -> dict[str, Callable[[], Sample]]:
    """Return a case for each way to emit the rows."""
    config, rows, warm_up = wire(sink.url, **_ROOMY), scale(_ROWS), scale(20_000)

    def case(way: str) -> Callable[[], Sample]:
        return lambda: fresh(emit_flights, config=config, rows=rows, warm_up=warm_up, way=way)

    return {way: case(way) for way in _WAYS}


def emit_flights(config: dict[str, Any], rows: int, warm_up: int, way: str) -> Sample:
    """Emit flights in one way, and measure; call it in a new process (see `fresh`).

    Args:
        config: The result of `ClientConfig.to_wire`.
        rows: Number of rows.
        warm_up: Number of other events that are shipped first.
        way: A name in the cases.
    """
    frame = flights(rows)
    emit, prepare = _WAYS[way]
    table = prepare(frame)
    few = prepare(frame.head(1000))
    with Client(ClientConfig.from_wire(config)) as client:
        workers = load.warmed_up(client, warm_up)
        emit(client, few)
        client.flush()
        before = client.stats().delivered
        worker_cpu, cpu, start = cpu_seconds(workers), time.process_time(), time.perf_counter()
        emit(client, table)
        emitted, emit_cpu = time.perf_counter() - start, time.process_time() - cpu
        client.flush()
        seconds = time.perf_counter() - start
        all_cpu = time.process_time() - cpu + cpu_seconds(workers) - worker_cpu
        delivered = client.stats().delivered - before
    if delivered != rows:
        raise RuntimeError(f"only {delivered:,} of {rows:,} rows were delivered")
    return {
        "events": rows,
        "delivered": delivered,
        "emit_seconds": emitted,
        "rows_per_second": rows / emitted,
        "ns_per_row": emitted * 1e9 / rows,
        "cpu_ns_per_row": emit_cpu * 1e9 / rows,
        "seconds": seconds,
        "events_per_second": rows / seconds,
        "cpu_per_million": all_cpu / rows * 1e6,
    }


def flights(rows: int) -> Any:
    """Return a DataFrame of so many flights: the sample of the tests, repeated."""
    import pandas as pd

    sample = [json.loads(line) for line in _FLIGHTS.read_text().splitlines()]
    frame = pd.DataFrame(
        {
            "what": [flight["key"] for flight in sample],
            "tail": [flight["user_key"] for flight in sample],
            "unknown": [flight["is_anonymous_user"] for flight in sample],
            "scheduled": pd.to_datetime([flight["timestamp"] for flight in sample], utc=True),
            **{name: [flight["metadata"][name] for flight in sample] for name in _METADATA},
        }
    )
    repeated = pd.concat([frame] * -(-rows // len(frame)), ignore_index=True).head(rows)
    return repeated.assign(row=range(1, rows + 1))


def _emit_table(client: Client, frame: Any) -> None:
    client.emit_table(
        frame, key="what", user_key="tail", is_anonymous_user="unknown", timestamp="scheduled"
    )


def _emit_dicts(client: Client, frame: Any) -> None:
    client.emit_actions(
        {
            "key": row.pop("what"),
            "user_key": row.pop("tail"),
            "is_anonymous_user": row.pop("unknown"),
            "timestamp": row.pop("scheduled"),
            "metadata": row,
        }
        for row in frame.to_dict("records")
    )


def _emit_tuples(client: Client, frame: Any) -> None:
    for row in frame.itertuples(index=False):
        client.emit_action(
            row.what,
            row.tail,
            row.unknown,
            row.scheduled,
            {
                "row": row.row,
                "carrier": row.carrier,
                "flight": row.flight,
                "origin": row.origin,
                "dest": row.dest,
                "distance": row.distance,
                "dep_time": row.dep_time,
                "dep_delay": row.dep_delay,
                "sched_arr_time": row.sched_arr_time,
                "arr_time": row.arr_time,
                "arr_delay": row.arr_delay,
                "air_time": row.air_time,
            },
        )


def _emit_records(client: Client, frame: Any) -> None:
    for row in frame.to_dict("records"):
        client.emit_action(
            row["what"],
            row["tail"],
            row["unknown"],
            row["scheduled"],
            {name: row[name] for name in _METADATA},
        )


def _ready(frame: Any) -> list[tuple[Any, ...]]:
    """Return the arguments of `emit_action` for each row, of types that C encodes."""
    columns = [frame[name].tolist() for name in _METADATA]
    metadata = [dict(zip(_METADATA, row, strict=True)) for row in zip(*columns, strict=True)]
    times = [*_plain_times(frame["scheduled"])]
    fields = (frame["what"].tolist(), frame["tail"].tolist(), frame["unknown"].tolist())
    return [*zip(*fields, times, metadata, strict=True)]


def _plain_times(column: Any) -> Iterator[Any]:
    return (moment.to_pydatetime().replace(tzinfo=UTC) for moment in column)


def _emit_ready(client: Client, rows: list[tuple[Any, ...]]) -> None:
    emit_action = client.emit_action
    for key, user_key, is_anonymous_user, timestamp, metadata in rows:
        emit_action(key, user_key, is_anonymous_user, timestamp, metadata)


def _as_it_is(frame: Any) -> Any:
    return frame


_WAYS: Final[dict[str, tuple[Emit, Callable[[Any], Any]]]] = {
    TABLE: (_emit_table, _as_it_is),
    DICTS: (_emit_dicts, _as_it_is),
    TUPLES: (_emit_tuples, _as_it_is),
    RECORDS: (_emit_records, _as_it_is),
    READY: (_emit_ready, _ready),
}
