"""The columns of the metadata, written as one text: `price:float, currency, shop=store`."""

import csv

from dataart_mp.table.cell import CELL_TYPES
from dataart_mp.table.column_map import MetadataColumn


def read_names(text: str) -> tuple[str, ...]:
    """Split a list at its commas; a name that contains a comma is quoted, as in CSV.

    Raises:
        ValueError: A quotation mark is missing.
    """
    try:
        return tuple(next(csv.reader([text], skipinitialspace=True), []))
    except csv.Error as error:
        raise ValueError(str(error)) from None


def read_metadata(text: str) -> tuple[MetadataColumn, ...]:
    """Read entries of the form `[NAME=]COLUMN[:TYPE]`, which commas separate.

    Args:
        text: The entries; an empty text means that there are none. The types are those of
            CELL_TYPES.

    Raises:
        ValueError: A quotation mark is missing.
    """
    return tuple(_entry(entry) for entry in read_names(text) if entry)


def split_kind(text: str) -> tuple[str, str | None]:
    """Split `NAME:TYPE`; what follows the last colon is part of the name if it is not a type."""
    name, _, kind = text.rpartition(":")
    return (name, kind) if name and kind in CELL_TYPES else (text, None)


def _entry(text: str) -> MetadataColumn:
    name, equals, column = text.partition("=")
    column, kind = split_kind(column if equals else text)
    return MetadataColumn(name if equals else column, column, kind)
