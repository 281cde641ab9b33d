"""The settings of a job against the columns of its table."""

from typing import Any, Final

from dataart_mp.errors import EventError, MissingExtraError, TableError
from dataart_mp.ship.settings import ShipSettings
from dataart_mp.table.arguments import column_map
from dataart_mp.table.arrow import column_names
from dataart_mp.table.column_map import ColumnMap

_CHANGES: Final = "the present time would be another one whenever a part is shipped again"


def check_schema(schema: Any, settings: ShipSettings) -> None:
    """Check that a table has the columns that the settings name, with fitting types.

    A driver calls it before any work begins; `ship_iter` does it again for each part.

    Args:
        schema: A `pyarrow.Schema`, or what has `__arrow_c_schema__`.
        settings: The settings of the job.

    Raises:
        TableError: A column is missing, or has a type that does not fit; the message names the
            setting (as `settings.terms` does), the value and the fix. Its attribute `field` is the
            name of the setting.
        MissingExtraError: The package pyarrow is not installed.
    """
    columns_of(schema, settings)


def columns_of(schema: Any, settings: ShipSettings) -> ColumnMap:
    """Return the mapping from the columns of a table to events, as `check_schema` checks it."""
    try:
        import pyarrow
    except ModuleNotFoundError:
        remedy = "pip install 'dataart-mp[arrow]'"
        raise MissingExtraError(f"ship_iter needs pyarrow: {remedy}") from None
    schema = pyarrow.schema(schema)
    names = column_names(schema)
    found = column_map(
        schema,
        **settings.choices,
        is_local=False,
        json_column=settings.metadata_json_column,
        terms=settings.terms,
    )
    _check_timestamp(found, schema, settings)
    _check_event_id_columns(names, settings)
    return found


def _check_timestamp(columns: ColumnMap, schema: Any, settings: ShipSettings) -> None:
    from pyarrow import types

    if "timestamp" in columns.constants:
        try:
            columns.times.read(columns.constants["timestamp"])
        except EventError as error:
            raise TableError(str(error), "timestamp") from None
        return
    name = columns.columns.get("timestamp", "timestamp")
    terms = settings.terms
    option = terms.fields["timestamp"]
    if name not in schema.names:
        remedy = terms.choose.format(name="timestamp", option=option)
        problem = f"no column {name!r} in {', '.join(schema.names)}"
        raise TableError(f"{option}: {problem}; {remedy}: {_CHANGES}", "timestamp")
    kind = schema.field(name).type
    if types.is_timestamp(kind) and kind.tz is None and settings.timezone is None:
        problem = f"column {name!r} has the type {kind}, without a zone"
        remedy = f'set {terms.timezone}, for example "UTC"'
        raise TableError(f"{option}: {problem}; {remedy}", "timestamp")


def _check_event_id_columns(names: list[str], settings: ShipSettings) -> None:
    for name in settings.event_id_columns:
        if name not in names:
            problem = f"no column {name!r} in {', '.join(names)}"
            raise TableError(f"event_id_columns: {problem}; correct the name", "event_id_columns")
