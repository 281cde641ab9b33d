"""Which column of a table is which part of an event.

    user,what,when,price          --key what --user-key user --timestamp when
    17,bought,2021-05-04…,2.50    --metadata price:float --set metadata.source=shop

    {"key": "bought", "user_key": "17", "timestamp": "2021-05-04…",
     "metadata": {"price": 2.5, "source": "shop"}}

A column that is named as a field of the event is that field, unless told otherwise; without
--metadata, all columns that are nothing else are metadata. The fields of an object in JSON Lines
are columns, too.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dataart_mp.cli.cell import read_bool, read_cell
from dataart_mp.cli.event import Action, Identity
from dataart_mp.cli.input_error import InputError
from dataart_mp.cli.time_format import TimeFormat
from dataart_mp.errors import EventError, short_repr

_OPTIONS = {
    "key": "--key",
    "user_key": "--user-key",
    "is_anonymous_user": "--anonymous",
    "timestamp": "--timestamp",
}
_METADATA = "metadata"


class Metadatum(NamedTuple):
    """One entry of the metadata.

    Attributes:
        name: Its name in the event.
        column: Where it comes from.
        kind: What the column's text stands for, a name in CELL_TYPES; None: as it is.
    """

    name: str
    column: str
    kind: str | None = None


@dataclass(frozen=True, kw_only=True)
class ColumnMap:
    """Makes events of rows.

    Attributes:
        columns: The column of each field of the event that does not have its name.
        constants: Fields that are the same for all rows.
        metadata: What the metadata is made of; None: all columns that are nothing else.
        fixed: Metadata that is the same for all rows.
        identities: Whether a row is who a user is, and not what a user did.
        times: How the timestamps are written.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    metadata: tuple[Metadatum, ...] | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    identities: bool = False
    times: TimeFormat = field(default_factory=TimeFormat)

    @property
    def is_plain(self) -> bool:
        """Whether nothing was told: then JSON Lines are events as they stand."""
        return self == ColumnMap()

    def wanted(self, columns: Collection[str]) -> list[str]:
        """Those of a table's columns that are read."""
        if self.metadata is None:
            return list(columns)
        used = {*self._used(), *(entry.column for entry in self.metadata)}
        return [name for name in columns if name in used]

    def check(self, file: str, columns: Collection[str]) -> None:
        """Refuse a table that this map does not fit, before its first row.

        Raises:
            InputError: A column that is needed, or was named, is not there; or one is left over, or
                is there twice.
        """
        twice = [name for name, times in Counter(columns).items() if times > 1]
        if twice:
            problem = "is there twice; name all columns by --columns, of Parquet in the file itself"
            raise InputError(f"{file}: the column {twice[0]!r} {problem}")
        needed = ["user_key"] if self.identities else ["key", "user_key"]
        for name in (*needed, *self.columns):
            column = self.columns.get(name, name)
            if name not in self.constants and column not in columns:
                raise InputError(f"{file}: {self._not_there(name, column, columns)}")
        for entry in self.metadata or ():
            if entry.column not in columns:
                there = ", ".join(columns)
                raise InputError(f"{file}: --metadata: no column {entry.column!r} in {there}")
        left = self._left_over(columns)
        if left:
            raise InputError(f"{file}: {left}")

    def event(self, fields: Mapping[str, Any]) -> Action | Identity:
        """Make an event of a row.

        Raises:
            EventError: It is none; the message says why.
        """
        user_key = self._text("user_key", fields)
        metadata = self._metadata(fields)
        if self.identities:
            return Identity(user_key, metadata)
        return Action(
            key=self._text("key", fields),
            user_key=user_key,
            is_anonymous_user=self._is_anonymous(fields),
            timestamp=self._timestamp(fields),
            metadata=metadata,
        )

    def _used(self) -> set[str]:
        """The columns that are fields of the event itself, if they are there."""
        names = ["user_key"] if self.identities else list(_OPTIONS)
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
        # A number that names something is as good as text; what else it may be, the client refuses.
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    def _is_anonymous(self, fields: Mapping[str, Any]) -> bool:
        value = self._value("is_anonymous_user", fields)
        try:
            return value is not None and read_bool(value)
        except ValueError:
            problem = f"{short_repr(value)} is neither true nor false"
            raise EventError(f"is_anonymous_user: {problem}", "is_anonymous_user") from None

    def _timestamp(self, fields: Mapping[str, Any]) -> Any:
        value = self._value("timestamp", fields)
        if value is not None:
            return self.times.read(value)
        column = self.columns.get("timestamp", "timestamp")
        if column in fields or "timestamp" in self.columns:
            # Not now: that is not when it happened.
            raise EventError(f"timestamp: is missing: column {column!r} is empty", "timestamp")
        return None

    def _metadata(self, fields: Mapping[str, Any]) -> dict[str, Any] | None:
        if self.metadata is not None:
            found = {entry.name: _read(entry, fields) for entry in self.metadata}
        elif _METADATA in fields:
            left = self._left_over(fields)
            if left:
                raise EventError(left)
            found = _object(fields[_METADATA])
        else:
            used = self._used()
            found = {name: value for name, value in fields.items() if name not in used}
        return {**found, **self.fixed} or None

    def _left_over(self, columns: Collection[str]) -> str:
        if self.metadata is not None or _METADATA not in columns:
            return ""
        left = [name for name in columns if name != _METADATA and name not in self._used()]
        if not left:
            return ""
        return f"not used, beside a column 'metadata': {', '.join(left)}; name all by --metadata"

    def _not_there(self, name: str, column: str, columns: Collection[str]) -> str:
        there = ", ".join(columns)
        if name in self.columns:
            return f"{_OPTIONS[name]}: no column {column!r} in {there}"
        also = ", or --identities if a row is who a user is" if name == "key" else ""
        remedy = f"{_OPTIONS[name]} COLUMN, --set {name}=TEXT{also}"
        return f"which column is the event's {name}? {remedy}; there are {there}"


def _read(entry: Metadatum, fields: Mapping[str, Any]) -> Any:
    try:
        return read_cell(fields.get(entry.column), entry.kind)
    except ValueError as error:
        path = f"metadata.{entry.name}"
        raise EventError(f"{path}: {error}", path) from None


def _object(value: Any) -> dict[str, Any]:
    """What a column `metadata` holds: an object, or one as JSON text."""
    if value is None:
        return {}
    try:
        found = read_cell(value, "json")
    except ValueError as error:
        raise EventError(f"metadata: {error}", "metadata") from None
    if not isinstance(found, dict):
        raise EventError(f"metadata: must be an object, not {short_repr(value)}", "metadata")
    return found
