"""What the record batches of a part come from."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from dataart_mp.errors import TableError, short_repr
from dataart_mp.table.arrow import open_table

Batches = Callable[[], Any] | Iterable[Any] | Any
"""A function that returns the rows from the start, a table, or an iterable of record batches."""

_REOPEN = "pass a function that returns the batches from the start"


def record_batches(batches: Batches, attempt: int) -> Iterator[Any]:
    """Open the rows of a part.

    Args:
        batches: As for `ship_iter`.
        attempt: As for `ship_iter`.

    Returns:
        Record batches that have the same columns.

    Raises:
        TableError: It is not a table; or it was read by an earlier attempt. While batches are read:
            one of them is not a table, or has other columns.
    """
    if callable(batches):
        batches = batches()
    elif isinstance(batches, Iterator) and attempt > 0:
        kind = type(batches).__name__
        problem = f"{kind} is an iterator, of which an earlier attempt may have read some"
        raise TableError(f"batches: {problem}; {_REOPEN}", "batches")
    if hasattr(type(batches), "__arrow_c_stream__"):
        return _batches_of(batches)
    if not isinstance(batches, Iterable) or isinstance(batches, str | bytes):
        problem = f"{type(batches).__name__} ({short_repr(batches)}) has no record batches"
        raise TableError(f"batches: {problem}; {_REOPEN}, or a list of them", "batches")
    return _with_one_schema(batch for item in batches for batch in _batches_of(item))


def _batches_of(item: Any) -> Iterator[Any]:
    """Yield the record batches of a table; at least one, so that its columns are known."""
    kind = type(item)
    if hasattr(kind, "__arrow_c_array__") and not hasattr(kind, "__arrow_c_stream__"):
        import pyarrow

        yield pyarrow.record_batch(item)
        return
    reader = open_table(item)
    yield _empty(reader.schema)
    yield from reader


def _empty(schema: Any) -> Any:
    import pyarrow

    return pyarrow.RecordBatch.from_pylist([], schema)


def _with_one_schema(batches: Iterable[Any]) -> Iterator[Any]:
    first = None
    for batch in batches:
        first = batch.schema if first is None else first
        if not batch.schema.equals(first):
            raise TableError(f"batches: {_difference(first, batch.schema)}", "batches")
        yield batch


def _difference(first: Any, other: Any) -> str:
    if first.names != other.names:
        problem = f"has the columns {', '.join(other.names)}, not {', '.join(first.names)}"
    else:
        pairs = zip(first, other, strict=True)
        was, now = next(pair for pair in pairs if not pair[0].equals(pair[1]))
        problem = f"has {now.type} in the column {now.name!r}, not {was.type}"
    return f"a record batch {problem} as the first one; cast all to one schema"
