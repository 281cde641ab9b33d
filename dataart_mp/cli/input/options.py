"""Command-line options that describe the input."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from dataart_mp.cli.input.csv_rows import CsvDialect
from dataart_mp.cli.input.source import Format, Source
from dataart_mp.cli.input.terms import COMMAND_LINE
from dataart_mp.table.cell import CELL_TYPES, read_cell
from dataart_mp.table.column_map import ColumnMap
from dataart_mp.table.metadata_text import read_metadata, read_names, split_kind
from dataart_mp.table.time_format import RFC_3339, UNIX, TimeFormat, zone_of

C = TypeVar("C", bound=Callable[..., object])

_FIELDS: Final = ("key", "user_key", "is_anonymous_user", "timestamp")
_METADATA: Final = "metadata."
INPUT_OPTIONS: Final = (
    *("format_", *_FIELDS, "times", "zone", "metadata", "constants", "identities"),
    *("delimiter", "encoding", "columns", "infer_types"),
)
"""The names of the options, as keyword arguments of the command."""


def _parsed_by(read: Callable[[str], Any]) -> Callable[..., Any]:
    """Return an option's callback that parses its text; a ValueError becomes a usage error."""

    def callback(_context: click.Context, _option: click.Parameter, text: str | None) -> Any:
        if text is None:
            return None
        try:
            return read(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return callback


def _delimiter(text: str) -> str:
    text = {"\\t": "\t", "tab": "\t"}.get(text, text)
    if len(text) != 1 or text in '"\r\n' or not text.isascii():
        raise ValueError(f"{text!r} must be one ASCII character, such as ';' or '\\t'")
    return text


def _constant(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if equals and name in _FIELDS and value:
        return name, value
    if equals and name.startswith(_METADATA) and name != _METADATA:
        name, kind = split_kind(name)
        return name, read_cell(value, kind)
    raise ValueError(
        f"{text!r} must be FIELD=VALUE; FIELD is {', '.join(_FIELDS)}, or metadata.NAME"
    )


_OPTIONS: Final = (
    click.option(
        "--format",
        "format_",
        type=click.Choice([form.value for form in Format]),
        help="Input format.  [default: detected by a file's name and first bytes, else jsonl]",
    ),
    click.option("--key", metavar="COLUMN", help="Column that contains the action's key."),
    click.option("--user-key", metavar="COLUMN", help="Column that contains the user's key."),
    click.option(
        "--anonymous",
        "is_anonymous_user",
        metavar="COLUMN",
        help="Column that says whether the user is anonymous: true or false, 1 or 0.",
    ),
    click.option("--timestamp", metavar="COLUMN", help="Column that contains the event's time."),
    click.option(
        "--timestamp-format",
        "times",
        metavar="FORMAT",
        default=RFC_3339,
        help=f"Format of timestamps: {', '.join([RFC_3339, *UNIX])}, or a pattern such as "
        f"'%d.%m.%Y %H:%M'.  [default: {RFC_3339}]",
    ),
    click.option(
        "--timezone",
        "zone",
        metavar="ZONE",
        callback=_parsed_by(zone_of),
        help="Time zone of timestamps without a UTC offset, for example UTC or Europe/Vienna.  "
        "[default: such timestamps are refused]",
    ),
    click.option(
        "--metadata",
        metavar="COLUMN,…",
        callback=_parsed_by(read_metadata),
        help="Columns that become metadata, each [NAME=]COLUMN[:TYPE]; the types are "
        f"{', '.join(CELL_TYPES)}; '' means none.  [default: all columns that are not fields]",
    ),
    click.option(
        "--set",
        "constants",
        metavar="FIELD=VALUE",
        multiple=True,
        help="Value that is the same in all rows: key=bought, metadata.source=shop, "
        "metadata.batch:int=7.",
    ),
    click.option("--identities", is_flag=True, help="Rows describe users and have no key."),
    click.option(
        "--delimiter",
        callback=_parsed_by(_delimiter),
        help="CSV field delimiter.  [default: a comma; in *.tsv a tab]",
    ),
    click.option(
        "--encoding", default="utf-8", show_default=True, help="Character encoding of CSV files."
    ),
    click.option(
        "--columns",
        metavar="NAME,…",
        callback=_parsed_by(read_names),
        help="Column names of CSV files that have no header.",
    ),
    click.option(
        "--infer-types",
        is_flag=True,
        help="Send columns of CSV files whose cells are all numbers as numbers; the first 1,000 "
        "rows decide, and a later cell that is not a number is reported and sent as text.  "
        "[default: as text]",
    ),
)


def input_options(command: C) -> C:
    """Add the options that `open_input` takes to a click command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def open_input(files: tuple[str, ...], **given: Any) -> tuple[Source, ColumnMap]:
    """Make the source of rows and the mapping of its columns.

    Args:
        files: The names of the files to read.
        **given: The values of `input_options`.

    Raises:
        click.UsageError: An option is wrong, or contradicts another one.
        InputError: Standard input is closed.
    """
    columns = _column_map(**given)
    form = None if given["format_"] is None else Format(given["format_"])
    try:
        dialect = CsvDialect(given["delimiter"], given["encoding"], given["columns"])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--encoding") from None
    source = Source(files, form, dialect, columns, infer_types=given["infer_types"])
    return source, columns


def _column_map(**given: Any) -> ColumnMap:
    columns = {name: given[name] for name in _FIELDS if given[name] is not None}
    constants, constant_metadata = _constants(given["constants"])
    _refuse_contradictions(columns, constants, identities=given["identities"])
    try:
        times = TimeFormat(given["times"], given["zone"], terms=COMMAND_LINE)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--timestamp-format") from None
    return ColumnMap(
        columns=columns,
        constants=constants,
        metadata=given["metadata"],
        constant_metadata=constant_metadata,
        identities=given["identities"],
        times=times,
        terms=COMMAND_LINE,
    )


def _constants(texts: tuple[str, ...]) -> tuple[dict[str, str], dict[str, Any]]:
    try:
        constants = dict(_constant(text) for text in texts)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--set") from None
    fields: dict[str, str] = {name: constants.pop(name) for name in _FIELDS if name in constants}
    return fields, {name.removeprefix(_METADATA): value for name, value in constants.items()}


def _refuse_contradictions(
    columns: dict[str, str], constants: dict[str, Any], *, identities: bool
) -> None:
    for name in columns.keys() & constants.keys():
        raise click.UsageError(f"{name}: a column and --set are mutually exclusive")
    for name in {*columns, *constants} - {"user_key"} if identities else ():
        raise click.UsageError(f"--identities: an identity has no {name}; remove its option")
