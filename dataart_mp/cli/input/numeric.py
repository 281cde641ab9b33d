"""Columns of a CSV file whose cells are numbers: CSV has no types, so each cell is text."""

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from dataart_mp.cli.input.row import Row
from dataart_mp.cli.message import warn
from dataart_mp.table.shown import shown

SAMPLE_ROWS: Final = 1000
"""Number of rows that decide which columns are numeric."""

_WARNING_ROWS: Final = 100
_SHOWN: Final = 5
# A leading zero or plus is a sign that the digits are a code, such as that of a postal district.
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SMALLEST: Final = -(2**63)
_LARGEST: Final = 2**64 - 1


def number_of(text: str) -> int | float | None:
    """Return the number that a text is; None if it is none, or would not be exact as an integer."""
    if _INTEGER.fullmatch(text):
        integer = int(text)
        return integer if _SMALLEST <= integer <= _LARGEST else None
    if not _DECIMAL.fullmatch(text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def numeric_columns(rows: Iterable[Row], columns: Collection[str]) -> list[str]:
    """Return the columns in which some cells are numbers, and all others are empty.

    Args:
        rows: The rows to look at.
        columns: The columns to look at.
    """
    has_number = dict.fromkeys(columns, False)
    for row in rows:
        if isinstance(row.content, dict):
            for name in list(has_number):
                cell = row.content.get(name)
                if cell is None:
                    continue
                if number_of(cell) is None:
                    del has_number[name]
                else:
                    has_number[name] = True
    return [name for name, found in has_number.items() if found]


def with_numbers(rows: Iterable[Row], columns: Collection[str]) -> Iterator[Row]:
    """Convert the cells of numeric columns.

    A cell that is not a number stays text. Nothing is lost so, but its column has two types: that
    is reported once for each column.

    Args:
        rows: Rows of a CSV file.
        columns: Its numeric columns.
    """
    unreported = set(columns)
    for row in rows:
        if isinstance(row.content, dict):
            numbers = _numbers(row.content, columns)
            if unreported and len(numbers) < len(columns):
                unreported -= _report_text(row, numbers, unreported)
            row = row._replace(content={**row.content, **numbers})  # noqa: PLW2901
        yield row


def _report_text(row: Row, numbers: Collection[str], columns: Collection[str]) -> set[str]:
    """Warn of the cells that stay text though their columns are numeric; return these columns.

    Args:
        row: A row of a CSV file.
        numbers: The columns whose cells in this row are numbers.
        columns: The columns to warn of.
    """
    cells: dict[str, Any] = row.content  # type: ignore[assignment]
    found = {name for name in columns if name not in numbers and cells[name] is not None}
    for name in sorted(found):
        warn(
            f"{row.place}: {name}: {shown(cells[name])} is sent as text, and the numbers of this "
            f"column as numbers; for one type, use --metadata {name}:text,… or {name}:float,…"
        )
    return found


def warned(rows: Iterator[Row], columns: Collection[str], file: str) -> Iterator[Row]:
    """Return the same rows, and warn after the first ones if numbers are sent as text.

    Args:
        rows: Rows of a CSV file.
        columns: The columns whose cells are sent as text.
        file: The file's name.
    """
    seen: list[Row] = []
    for row in rows:
        yield row
        seen.append(row)
        if len(seen) == _WARNING_ROWS:
            break
    found = numeric_columns(seen, columns)
    if found:
        names = ", ".join(found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
        remedy = f"use --infer-types, or name the types: --metadata {found[0]}:float,…"
        warn(f"{file}: numbers are sent as text in the columns {names}; {remedy}")
    yield from rows


def _numbers(fields: Mapping[str, Any], columns: Collection[str]) -> dict[str, int | float]:
    found = {name: number_of(fields[name]) for name in columns if fields[name] is not None}
    return {name: number for name, number in found.items() if number is not None}
