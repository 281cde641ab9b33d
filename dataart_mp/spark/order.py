"""Warns if the rows of a partition may come in another order when they are computed again.

Rows that a shuffle has brought come in the order in which they arrive. If an executor is lost,
Spark computes some of them again. Then the same rows are cut into other requests, with other keys,
and a platform counts events twice that a dead task has sent. Sorted rows have the same order.
"""

import contextlib
import io
import re
import warnings
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_SHUFFLE: Final = re.compile(r"^\W*(?:\*\(\d+\) )?Exchange\b")
_SORT: Final = re.compile(r"^\W*(?:\*\(\d+\) )?Sort\b")


def warn_of_shuffle(df: "DataFrame") -> None:
    """Warn if rows come from a shuffle, and are not sorted since.

    Args:
        df: The rows.
    """
    for operator in _plan(df).splitlines():  # what runs last comes first
        if _SORT.search(operator):
            return
        if _SHUFFLE.search(operator):
            warnings.warn(
                "the rows come from a shuffle and are not sorted: if an executor is lost, events "
                "may be counted twice; call df.sortWithinPartitions(COLUMNS) with columns that "
                "identify a row",
                stacklevel=3,
            )
            return


def _plan(df: "DataFrame") -> str:
    """Return the physical plan, which Spark can only print."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        df.explain()
    return output.getvalue()
