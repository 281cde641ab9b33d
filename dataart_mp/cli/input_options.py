"""Options of a command that say what its input looks like."""

import csv
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from dataart_mp.cli.cell import CELL_TYPES, read_cell
from dataart_mp.cli.column_map import ColumnMap, Metadatum
from dataart_mp.cli.csv_rows import CsvDialect
from dataart_mp.cli.source import Format, Source
from dataart_mp.cli.time_format import RFC_3339, UNIX, TimeFormat, zone_of

C = TypeVar("C", bound=Callable[..., object])

_FIELDS: Final = ("key", "user_key", "is_anonymous_user", "timestamp")
_METADATA: Final = "metadata."
INPUT_OPTIONS: Final = (
    *("format_", *_FIELDS, "times", "zone", "metadata", "constants", "identities"),
    *("delimiter", "encoding", "columns"),
)
"""The names of the options, as a command gets them."""


def _names(text: str) -> tuple[str, ...]:
    """Names between commas, quoted as in CSV where one holds a comma."""
    return tuple(next(csv.reader([text], skipinitialspace=True), []))


def _checked(read: Callable[[str], Any]) -> Callable[..., Any]:
    """An option's callback: what `read` makes of its text; its ValueError is the user's."""

    def callback(_context: click.Context, _option: click.Parameter, text: str | None) -> Any:
        if text is None:
            return None
        try:
            return read(text)
        except (ValueError, csv.Error) as error:
            raise click.BadParameter(str(error)) from None

    return callback


def _delimiter(text: str) -> str:
    text = {"\\t": "\t", "tab": "\t"}.get(text, text)
    if len(text) != 1 or text in '"\r\n' or not text.isascii():
        raise ValueError(f"{text!r} must be one ASCII character, such as ';' or '\\t'")
    return text


def _metadata(text: str) -> tuple[Metadatum, ...]:
    return tuple(_metadatum(entry) for entry in _names(text) if entry)


def _metadatum(entry: str) -> Metadatum:
    name, equals, column = entry.partition("=")
    column, kind = _split_kind(column if equals else entry)
    return Metadatum(name if equals else column, column, kind)


def _split_kind(text: str) -> tuple[str, str | None]:
    name, _, kind = text.rpartition(":")
    return (name, kind) if name and kind in CELL_TYPES else (text, None)


def _constant(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if equals and name in _FIELDS and value:
        return name, value
    if equals and name.startswith(_METADATA) and name != _METADATA:
        name, kind = _split_kind(name)
        return name, read_cell(value, kind)
    raise ValueError(
        f"{text!r} must be FIELD=VALUE, FIELD one of {', '.join(_FIELDS)}, metadata.NAME"
    )


_OPTIONS: Final = (
    click.option(
        "--format",
        "format_",
        type=click.Choice([form.value for form in Format]),
        help="Of the input.  [default: by a file's name and first bytes; else jsonl]",
    ),
    click.option("--key", metavar="COLUMN", help="The column of the action's key."),
    click.option("--user-key", metavar="COLUMN", help="The column of the user's key."),
    click.option(
        "--anonymous",
        "is_anonymous_user",
        metavar="COLUMN",
        help="The column that says whether the user is anonymous: true or false, 1 or 0.",
    ),
    click.option("--timestamp", metavar="COLUMN", help="The column of the time."),
    click.option(
        "--timestamp-format",
        "times",
        metavar="FORMAT",
        default=RFC_3339,
        help=f"{', '.join([RFC_3339, *UNIX])}, or a pattern: '%d.%m.%Y %H:%M'.  "
        f"[default: {RFC_3339}]",
    ),
    click.option(
        "--timezone",
        "zone",
        metavar="ZONE",
        callback=_checked(zone_of),
        help="Of times without an offset: UTC, Europe/Vienna.  [default: such are refused]",
    ),
    click.option(
        "--metadata",
        metavar="COLUMN,…",
        callback=_checked(_metadata),
        help="The columns of the metadata, each [NAME=]COLUMN[:TYPE], the types being "
        f"{', '.join(CELL_TYPES)}; '' is none.  [default: all others]",
    ),
    click.option(
        "--set",
        "constants",
        metavar="FIELD=VALUE",
        multiple=True,
        help="The same for all rows: key=bought, metadata.source=shop, metadata.batch:int=7.",
    ),
    click.option("--identities", is_flag=True, help="A row is who a user is: it has no key."),
    click.option(
        "--delimiter",
        callback=_checked(_delimiter),
        help="Of CSV.  [default: a comma, a tab in *.tsv]",
    ),
    click.option("--encoding", default="utf-8", show_default=True, help="Of CSV."),
    click.option(
        "--columns",
        metavar="NAME,…",
        callback=_checked(_names),
        help="Names of the columns of CSV without a header.",
    ),
)


def input_options(command: C) -> C:
    """Give a click command the options that `read_input` takes."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_input(files: tuple[str, ...], **given: Any) -> tuple[Source, ColumnMap]:
    """Make the source, and what the columns of its tables are.

    Args:
        files: What to read.
        **given: What `input_options` read.

    Raises:
        click.UsageError: Options contradict each other, or make no sense.
    """
    columns = _column_map(**given)
    form = None if given["format_"] is None else Format(given["format_"])
    try:
        dialect = CsvDialect(given["delimiter"], given["encoding"], given["columns"])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--encoding") from None
    return Source(files, form, dialect, columns), columns


def _column_map(**given: Any) -> ColumnMap:
    columns = {name: given[name] for name in _FIELDS if given[name] is not None}
    constants, fixed = _constants(given["constants"])
    _refuse_contradictions(columns, constants, identities=given["identities"])
    try:
        times = TimeFormat(given["times"], given["zone"])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--timestamp-format") from None
    return ColumnMap(
        columns=columns,
        constants=constants,
        metadata=given["metadata"],
        fixed=fixed,
        identities=given["identities"],
        times=times,
    )


def _constants(texts: tuple[str, ...]) -> tuple[dict[str, str], dict[str, Any]]:
    try:
        constants = dict(_constant(text) for text in texts)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--set") from None
    fixed = {name for name in constants if name.startswith(_METADATA)}
    return (
        {name: value for name, value in constants.items() if name not in fixed},
        {name.removeprefix(_METADATA): constants[name] for name in fixed},
    )


def _refuse_contradictions(
    columns: dict[str, str], constants: dict[str, str], *, identities: bool
) -> None:
    for name in columns.keys() & constants.keys():
        raise click.UsageError(f"{name} has a column, and is --set: one of them is too much")
    for name in {*columns, *constants} - {"user_key"} if identities else ():
        raise click.UsageError(f"--identities have a user_key and metadata, but no {name}")
