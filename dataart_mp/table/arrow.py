"""pyarrow, which is imported when the first table is used, and the batches of a table."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from dataart_mp import clock
from dataart_mp.errors import MissingExtraError, TableError, short_repr

BATCH_ROWS: Final = 16384
"""How many rows are encoded at a time, at most."""

_BATCH_BYTES: Final = 8 * 1024 * 1024
_WAIT_SECONDS: Final = 0.01
_PANDAS_INDEX: Final = re.compile(r"__index_level_[0-9]+__")
_EXAMPLES: Final = "a DataFrame of pandas or polars, a relation of DuckDB, or a table of pyarrow"


def open_table(table: Any) -> Any:
    """Return a reader of the record batches of a table.

    Args:
        table: An object with the method `__arrow_c_stream__`.

    Returns:
        A `pyarrow.RecordBatchReader`.

    Raises:
        TableError: The object is not a table.
        MissingExtraError: The package pyarrow is not installed.
    """
    if not hasattr(type(table), "__arrow_c_stream__"):
        kind = type(table).__name__
        remedy = f"pass {_EXAMPLES}; for dicts there is emit_actions"
        raise TableError(f"table: {kind} ({short_repr(table)}) is not a table; {remedy}", "table")
    try:
        import pyarrow
    except ModuleNotFoundError:
        remedy = "pip install 'dataart-mp[arrow]'"
        raise MissingExtraError(f"emit_table needs pyarrow: {remedy}") from None
    try:
        return pyarrow.RecordBatchReader.from_stream(table)
    except Exception as error:
        problem = f"cannot be converted to Arrow: {short_repr(error, 200)}"
        remedy = "pass a table whose columns have names, and values of one type each"
        raise TableError(f"table: {type(table).__name__} {problem}; {remedy}", "table") from error


def column_names(schema: Any) -> list[str]:
    """Return the names of the columns, without the index that pandas adds to a filtered table."""
    return [name for name in schema.names if not _PANDAS_INDEX.fullmatch(name)]


def portions(batches: Iterable[Any], names: list[str], max_rows: int = BATCH_ROWS) -> Iterator[Any]:
    """Cut and join record batches into others of a few megabytes and at most some thousand rows.

    Work for a batch costs least for a row if the batch is large. Batches that arrive slowly do not
    wait for each other.

    Args:
        batches: Record batches that have the same columns.
        names: The columns to keep.
        max_rows: How many rows a portion has, at most.

    Raises:
        Exception: `batches` raised it; what came before it is returned before.
    """
    waiting: list[Any] = []
    rows, since = 0, 0.0
    reader = iter(batches)
    while True:
        try:
            batch = next(reader, None)
        except BaseException:
            yield from _cut(waiting, max_rows)
            raise
        if batch is not None and batch.num_rows:
            since = since if waiting else clock.monotonic()
            waiting.append(batch.select(names))
            rows += batch.num_rows
        is_slow = bool(waiting) and clock.monotonic() - since > _WAIT_SECONDS
        if batch is None or rows >= max_rows or is_slow:
            yield from _cut(waiting, max_rows)
            waiting, rows = [], 0
        if batch is None:
            return


def _cut(batches: list[Any], max_rows: int) -> Iterator[Any]:
    import pyarrow

    if len(batches) > 1:
        batches = pyarrow.Table.from_batches(batches).combine_chunks().to_batches()
    for batch in batches:
        rows = batch.num_rows
        size = max(1, min(max_rows, rows * _BATCH_BYTES // _size(batch)))
        yield from (batch.slice(start, size) for start in range(0, rows, size))


def _size(batch: Any) -> int:
    """Return the bytes of a batch, at least 1."""
    import pyarrow

    try:
        size: int = batch.nbytes
    except pyarrow.ArrowException:  # old versions do not know it for views of text
        size = batch.get_total_buffer_size()
    return max(1, size)
