"""The arguments of `emit_table`, checked against the columns of the table."""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, Final

from dataart_mp.errors import EventError, TableError, short_repr
from dataart_mp.producer.encoder import encode_action
from dataart_mp.table.arrow import column_names
from dataart_mp.table.cell import CELL_TYPES
from dataart_mp.table.column import is_text
from dataart_mp.table.column_map import FIELDS, ColumnMap, MetadataColumn
from dataart_mp.table.literal import Literal
from dataart_mp.table.terms import Terms
from dataart_mp.table.time_format import TimeFormat, zone_of

Choice = str | Literal
"""The name of a column, or a value that is the same in all rows."""

Metadata = str | Sequence[str | MetadataColumn] | Mapping[str, Choice]
"""The columns of the metadata, or the columns and constants by their names in the event."""

_LEAVE_OUT: Final = "leave it out: metadata=[…]"


def column_map(
    schema: Any,
    *,
    key: Choice | None,
    user_key: Choice | None,
    timestamp: Choice | datetime | None,
    is_anonymous_user: Choice | bool | None,
    metadata: Metadata | None,
    timezone: str | tzinfo | None,
    is_local: bool = True,
    json_column: str | None = None,
    terms: Terms = Terms(),  # noqa: B008 - it is frozen
) -> ColumnMap:
    """Make the mapping that the arguments describe.

    Args:
        schema: The `pyarrow.Schema` of the table.
        key: As for `emit_table`, as all others.
        user_key: Of each event.
        timestamp: Of each event.
        is_anonymous_user: Of each event.
        metadata: Of each event.
        timezone: Of timestamps that have none.
        is_local: Whether these are local time, if there is no `timezone`; else they are refused.
        json_column: The column with all of the metadata as JSON text.
        terms: How messages name the arguments.

    Raises:
        TableError: An argument is not valid, or does not fit the table.
    """
    given = {
        "key": key,
        "user_key": user_key,
        "is_anonymous_user": is_anonymous_user,
        "timestamp": timestamp,
    }
    columns: dict[str, str] = {}
    constants: dict[str, Any] = {}
    for field in FIELDS:
        value = given[field]
        if isinstance(value, str):
            columns[field] = value
        elif isinstance(value, Literal):
            constants[field] = value.value
        elif value is not None:
            constants[field] = _as_constant(field, value)
    entries, constant_metadata = _metadata(metadata)
    found = ColumnMap(
        columns=columns,
        constants=constants,
        metadata=entries,
        constant_metadata=constant_metadata,
        times=TimeFormat(zone=_zone(timezone), is_local=is_local, terms=terms),
        json_column=json_column,
        terms=terms,
    )
    found.check(column_names(schema))
    _check_constants(constants, constant_metadata)
    _check_types(found, schema)
    return found


def _as_constant(field: str, value: object) -> Any:
    """Return a value that cannot be the name of a column, and so needs no `lit`."""
    if field == "is_anonymous_user" and isinstance(value, bool):
        return value
    if field == "timestamp" and isinstance(value, datetime):
        return value
    kind = type(value).__name__
    raise TableError(
        f"{field}: {kind} ({short_repr(value)}) is refused; pass the name of a column, or "
        "lit(VALUE) for the same value in all rows",
        field,
    )


def _metadata(given: Any) -> tuple[tuple[MetadataColumn, ...] | None, dict[str, Any]]:
    if given is None:
        return None, {}
    if isinstance(given, str):
        remedy = f"pass a list of columns, such as [{given!r}]"
        raise TableError(f"metadata: str ({short_repr(given)}) is refused; {remedy}", "metadata")
    if not isinstance(given, Mapping | Sequence):
        kind = type(given).__name__
        remedy = "pass a list of columns, or a dict of columns and constants by name"
        raise TableError(f"metadata: {kind} ({short_repr(given)}) is refused; {remedy}", "metadata")
    chosen = given if isinstance(given, Mapping) else {_name(one): one for one in given}
    entries: list[MetadataColumn] = []
    constants: dict[str, Any] = {}
    for name, choice in chosen.items():
        if isinstance(choice, MetadataColumn):
            _check_kind(choice)
            entries.append(choice)
        elif isinstance(choice, Literal) and isinstance(name, str):
            constants[name] = choice.value
        elif isinstance(choice, str) and isinstance(name, str):
            entries.append(MetadataColumn(name, choice))
        else:
            kind = type(choice).__name__
            remedy = "pass the name of a column; or, in a dict, lit(VALUE)"
            problem = f"{kind} ({short_repr(choice)}) is refused"
            raise TableError(f"metadata: {problem}; {remedy}", "metadata")
    return tuple(entries), constants


def _check_kind(entry: MetadataColumn) -> None:
    if entry.kind is not None and entry.kind not in CELL_TYPES:
        problem = f"{entry.kind!r}, the type of {entry.name!r}, is not one of"
        raise TableError(f"metadata: {problem} {', '.join(CELL_TYPES)}", "metadata")


def _name(column: Any) -> Any:
    return column.name if isinstance(column, MetadataColumn) else column


def _zone(given: object) -> tzinfo | None:
    if given is None or isinstance(given, tzinfo):
        return given
    try:
        if isinstance(given, str):
            return zone_of(given)
    except ValueError as error:
        raise TableError(f"timezone: {error}", "timezone") from None
    problem = f"{type(given).__name__} ({short_repr(given)}) is refused"
    raise TableError(f'timezone: {problem}; pass a name, such as "Europe/Vienna"', "timezone")


def _check_constants(constants: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """Check the constants as the client checks the values of an event."""
    event = {"key": "any", "user_key": "any", **constants, "metadata": metadata}
    try:
        encode_action(**event)
    except EventError as error:
        field = (error.path or "metadata").partition(".")[0].partition("[")[0]
        raise TableError(str(error), field) from None


def _check_types(columns: ColumnMap, schema: Any) -> None:
    """Check that each column has a type that its use allows."""
    for field in FIELDS:
        column = columns.columns.get(field, field)
        if field not in columns.constants and column in schema.names:
            _check_field(field, columns.terms, column, schema.field(column).type)
    if columns.json_column is not None:
        _check_json(columns.json_column, columns.terms, schema.field(columns.json_column).type)
    for entry in columns.entries(column_names(schema)) or ():
        problem = _unfit_for_metadata(schema.field(entry.column).type)
        if problem:
            raise TableError(f"metadata: column {entry.column!r} {problem}", "metadata")


def _check_field(field: str, terms: Terms, column: str, kind: Any) -> None:
    """Check the type of a column that is not metadata.

    Raises:
        TableError: It has another type.
    """
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    match field:
        case "key" | "user_key":
            fits = is_text or types.is_integer(kind)
            needs = "text or integers; convert it, for example to text"
        case "is_anonymous_user":
            fits = types.is_boolean(kind)
            needs = "booleans; convert it to bool"
        case _:
            fits = is_text or types.is_timestamp(kind)
            needs = "timestamps or RFC 3339 text; convert it to timestamps in UTC"
    if not fits and not types.is_null(kind):
        problem = f"column {column!r} has the type {kind}, but needs {needs}"
        raise TableError(f"{terms.fields[field]}: {problem}", field)


def _check_json(column: str, terms: Terms, kind: Any) -> None:
    from pyarrow import types

    if not (is_text(kind) or types.is_null(kind)):
        problem = f"column {column!r} has the type {kind}, but needs JSON text"
        raise TableError(
            f"{terms.metadata_json}: {problem}; leave it out to send columns as they are",
            "metadata_json_column",
        )


def _unfit_for_metadata(kind: Any) -> str:
    """Return why no value of a type fits into JSON; an empty text if values do."""
    from pyarrow import types

    if types.is_dictionary(kind):
        return _unfit_for_metadata(kind.value_type)
    if types.is_duration(kind):
        return f"has the type {kind}, which JSON has not; convert it to seconds, or {_LEAVE_OUT}"
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return f"has the type {kind}, which JSON has not; encode it as text, or {_LEAVE_OUT}"
    if types.is_struct(kind):
        problems = (_unfit_for_metadata(kind.field(at).type) for at in range(kind.num_fields))
        return next(filter(None, problems), "")
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _unfit_for_metadata(kind.value_type)
    return ""
