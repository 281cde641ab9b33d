"""What the record batches of a part come from."""

from collections.abc import Callable, Iterable
from typing import Any

Batches = Callable[[], Any] | Iterable[Any] | Any
"""A function that returns the rows from the start, a table, or an iterable of record batches."""
