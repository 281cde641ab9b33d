"""The mapping from the columns of a table to the parts of an event.

    user,what,when,price          --key what --user-key user --timestamp when
    17,bought,2021-05-04…,2.50    --metadata price:float --set metadata.source=shop

    {"key": "bought", "user_key": "17", "timestamp": "2021-05-04…",
     "metadata": {"price": 2.5, "source": "shop"}}

By default a column with the name of a field is that field, and all other columns are metadata. The
fields of an object in JSON Lines are columns, too. This module converts one row at a time, and is
the reference for `encoder`, which converts columns.
"""

import difflib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple

from dataart_mp.errors import EventError, TableError, short_repr
from dataart_mp.table.cell import read_bool, read_cell
from dataart_mp.table.event import Action, Identity
from dataart_mp.table.rows import UnreadableError
from dataart_mp.table.shown import shown
from dataart_mp.table.terms import Terms
from dataart_mp.table.time_format import TimeFormat

FIELDS: Final = ("key", "user_key", "is_anonymous_user", "timestamp")
"""The fields of an action that are not metadata."""

_METADATA: Final = "metadata"


class MetadataColumn(NamedTuple):
    """One entry of the metadata.

    Attributes:
        name: Its name in the event.
        column: The column that it is read from.
        kind: The type that cells are converted to, a name in CELL_TYPES; None: no conversion.
    """

    name: str
    column: str
    kind: str | None = None


@dataclass(frozen=True, kw_only=True)
class ColumnMap:
    """Converts rows to events.

    Attributes:
        columns: Columns by field, for fields whose column has another name.
        constants: Values by field, for fields that are the same in all rows.
        metadata: The entries of the metadata; None: all columns that are not fields.
        constant_metadata: Entries of the metadata that are the same in all rows.
        identities: Whether rows are identities instead of actions.
        times: The format of the timestamps.
        json_column: The column that holds all of the metadata, as JSON text of an object; then no
            other column is metadata. None: all columns that are not fields are, or the column
            `metadata` if there is one.
        terms: How messages name the options.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    metadata: tuple[MetadataColumn, ...] | None = None
    constant_metadata: Mapping[str, Any] = field(default_factory=dict)
    identities: bool = False
    times: TimeFormat = field(default_factory=TimeFormat)
    json_column: str | None = None
    terms: Terms = field(default_factory=Terms, compare=False)

    @cached_property
    def is_plain(self) -> bool:
        """Whether this is the default map: then a line of JSON Lines is an event as it is."""
        return self == ColumnMap()

    def columns_to_read(self, columns: Collection[str]) -> list[str]:
        """Return those of a table's columns that this map uses."""
        if self.json_column is not None:
            used = {*self._used(), self.json_column}
        elif self.metadata is not None:
            used = {*self._used(), *(entry.column for entry in self.metadata)}
        else:
            return list(columns)
        return [name for name in columns if name in used]

    def entries(self, columns: Collection[str]) -> tuple[MetadataColumn, ...] | None:
        """Return the entries of the metadata that a table has.

        Args:
            columns: The table's columns.

        Returns:
            The entries; None: all of the metadata is in one column; see `object_metadata`.
        """
        if self.metadata is not None:
            return self.metadata
        if self.object_column(columns) is not None:
            return None
        used = self._used()
        return tuple(MetadataColumn(name, name) for name in columns if name not in used)

    def object_column(self, columns: Collection[str]) -> str | None:
        """Return the column that holds all of the metadata; None if there is none."""
        if self.json_column is not None:
            return self.json_column
        return _METADATA if self.metadata is None and _METADATA in columns else None

    def untyped(self, columns: Collection[str]) -> list[str]:
        """Return the columns that become metadata without being converted to a type."""
        return [entry.column for entry in self.entries(columns) or () if entry.kind is None]

    def object_metadata(self, value: Any) -> dict[str, Any] | None:
        """Convert a cell of the column `metadata` to all of the metadata.

        Args:
            value: The cell: an object, or JSON text of one.

        Raises:
            EventError: It is neither.
        """
        return {**_object(value), **self.constant_metadata} or None

    def check(self, columns: Collection[str]) -> None:
        """Check, before its first row, that a table has the columns that this map needs.

        Args:
            columns: The table's columns.

        Raises:
            TableError: A column is missing, duplicated, or not used.
        """
        duplicated = [name for name, count in Counter(columns).items() if count > 1]
        if duplicated:
            problem = f"the column {duplicated[0]!r} is duplicated"
            raise TableError(f"{problem}; {self.terms.rename}", "table")
        required = ["user_key"] if self.identities else ["key", "user_key"]
        for name in (*required, *self.columns):
            column = self.columns.get(name, name)
            if name not in self.constants and column not in columns:
                raise TableError(self._missing_column(name, column, columns), name)
        for entry in self.metadata or ():
            if entry.column not in columns:
                problem = _no_column(entry.column, columns)
                raise TableError(f"{self.terms.metadata}: {problem}", _METADATA)
        if self.json_column is not None and self.json_column not in columns:
            problem = _no_column(self.json_column, columns)
            raise TableError(f"{self.terms.metadata_json}: {problem}", "metadata_json_column")
        unused = self._unused(columns)
        if unused:
            raise TableError(unused, _METADATA)

    def event_of(self, fields: Mapping[str, Any]) -> Action | Identity:
        """Convert a row to an event.

        Args:
            fields: The values of the row, by column.

        Returns:
            The event, whose values the client checks.

        Raises:
            EventError: The row is not an event; the message says why.
        """
        if self.identities:
            return Identity(self._text("user_key", fields), self._metadata(fields))
        return self.action_of(fields)

    def action_of(self, fields: Mapping[str, Any]) -> Action:
        """Convert a row to an action, as `event_of` does."""
        user_key = self._text("user_key", fields)
        metadata = self._metadata(fields)
        return Action(
            key=self._text("key", fields),
            user_key=user_key,
            is_anonymous_user=self._is_anonymous(fields),
            timestamp=self._timestamp(fields),
            metadata=metadata,
        )

    def column_of(self, path: str, columns: Collection[str]) -> str | None:
        """Return the column of an invalid value; None if the value is not from a column.

        Args:
            path: The path of an EventError, such as `metadata.price`.
            columns: The table's columns.
        """
        if path in FIELDS:
            return None if path in self.constants else self.columns.get(path, path)
        for entry in self.entries(columns) or ():
            for place in (f".{entry.name}", f"[{short_repr(entry.name)}]"):
                rest = path.removeprefix(f"{_METADATA}{place}")
                if rest != path and rest[:1] in {"", ".", "["}:
                    return entry.column
        return self.json_column or (_METADATA if _METADATA in columns else None)

    def locate(self, error: EventError, columns: Collection[str]) -> tuple[str | None, str]:
        """Return the column that the error of a row is about, and the problem without its name.

        Args:
            error: What was raised for the row.
            columns: The table's columns.

        Returns:
            The column, None if the error is about none; and the message to show after it.
        """
        if isinstance(error, UnreadableError):
            return error.column, error.problem
        column = None if error.path is None else self.column_of(error.path, columns)
        return column, str(error)

    def _used(self) -> set[str]:
        """Return the columns that are fields of the event, present or not."""
        names = ["user_key"] if self.identities else FIELDS
        return {self.columns.get(name, name) for name in names if name not in self.constants}

    def _value(self, name: str, fields: Mapping[str, Any]) -> Any:
        if name in self.constants:
            return self.constants[name]
        return fields.get(self.columns.get(name, name))

    def _text(self, name: str, fields: Mapping[str, Any]) -> Any:
        value = self._value(name, fields)
        if value is None:
            column = self.columns.get(name, name)
            raise EventError(f"{name}: is missing: column {column!r} is empty", name)
        # An integer is a valid key once it is text; the client refuses all other types.
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    def _is_anonymous(self, fields: Mapping[str, Any]) -> bool:
        value = self._value("is_anonymous_user", fields)
        try:
            return value is not None and read_bool(value)
        except ValueError:
            problem = f"must be true or false, not {shown(value)}"
            raise EventError(f"is_anonymous_user: {problem}", "is_anonymous_user") from None

    def _timestamp(self, fields: Mapping[str, Any]) -> Any:
        value = self._value("timestamp", fields)
        if value is not None:
            return self.times.read(value)
        column = self.columns.get("timestamp", "timestamp")
        if column in fields or "timestamp" in self.columns:
            # The default, the current time, would not be when the event happened.
            raise EventError(f"timestamp: is missing: column {column!r} is empty", "timestamp")
        return None

    def _metadata(self, fields: Mapping[str, Any]) -> dict[str, Any] | None:
        if self.metadata is not None:
            found = {entry.name: _read(entry, fields) for entry in self.metadata}
        elif self.json_column is not None:
            return self.object_metadata(fields[self.json_column])
        elif _METADATA in fields:
            unused = self._unused(fields)
            if unused:
                raise EventError(unused)
            return self.object_metadata(fields[_METADATA])
        else:
            used = self._used()
            found = {name: value for name, value in fields.items() if name not in used}
        return {**found, **self.constant_metadata} or None

    def _unused(self, columns: Collection[str]) -> str:
        """Describe the columns that are lost because a column `metadata` is all the metadata."""
        is_chosen = self.metadata is not None or self.json_column is not None
        if is_chosen or _METADATA not in columns:
            return ""
        unused = [name for name in columns if name != _METADATA and name not in self._used()]
        if not unused:
            return ""
        names = ", ".join(unused)
        return (
            f"columns beside 'metadata' are not used: {names}; name all with {self.terms.metadata}"
        )

    def _missing_column(self, name: str, column: str, columns: Collection[str]) -> str:
        option = self.terms.fields[name]
        if name in self.columns:
            or_constant = self.terms.or_constant.format(value=column)
            return f"{option}: {_no_column(column, columns)}{or_constant}"
        or_identities = self.terms.or_identities if name == "key" else ""
        remedy = self.terms.choose.format(name=name, option=option) + or_identities
        return f"{_no_column(name, columns)}; {remedy}"


def _no_column(name: str, columns: Collection[str]) -> str:
    """Return that a column does not exist, and which ones have a similar name."""
    close = difflib.get_close_matches(name, columns, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else ""
    return f"no column {name!r} in {', '.join(columns)}{meant}"


def _read(entry: MetadataColumn, fields: Mapping[str, Any]) -> Any:
    try:
        return read_cell(fields.get(entry.column), entry.kind)
    except ValueError as error:
        path = f"metadata.{entry.name}"
        raise EventError(f"{path}: {error}", path) from None


def _object(value: Any) -> dict[str, Any]:
    """Convert the cell of a column `metadata`: an object, or JSON text of one."""
    if value is None:
        return {}
    try:
        found = read_cell(value, "json")
    except ValueError as error:
        raise EventError(f"metadata: {error}", "metadata") from None
    if not isinstance(found, dict):
        raise EventError(f"metadata: must be an object, not {shown(value)}", "metadata")
    return found
