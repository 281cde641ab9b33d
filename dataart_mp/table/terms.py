"""How messages name what their reader can set: arguments of a function, or options of a command."""

from collections.abc import Mapping
from dataclasses import dataclass, field

_FIELDS = ("key", "user_key", "is_anonymous_user", "timestamp")


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The names and remedies in messages about columns; the defaults are those of `emit_table`.

    Attributes:
        fields: The name of what chooses the column of a field, by field.
        metadata: The name of what chooses the columns of the metadata.
        metadata_json: The name of what chooses the column with all of the metadata as JSON text.
        choose: What chooses the column of a field, or a constant. It is a format of `name`, the
            field, and `option`, its name in `fields`.
        or_constant: What to do if the name of a column was meant as a value. It is a format of
            `value`.
        or_identities: What to do if rows have no key because they describe users.
        rename: What to do if two columns have the same name.
        timestamp_format: The name of what sets the format of timestamps.
        convert_time: What to do if a value is not a timestamp.
        timezone: The name of what sets the zone of timestamps without a UTC offset.
    """

    fields: Mapping[str, str] = field(default_factory=lambda: {name: name for name in _FIELDS})
    metadata: str = "metadata"
    metadata_json: str = "metadata_json_column"
    choose: str = "pass {name}=COLUMN, or {name}=lit(VALUE)"
    or_constant: str = "; for the same value in all rows, pass lit({value!r})"
    or_identities: str = ""
    rename: str = "rename one of them"
    timestamp_format: str = "timestamp_format"
    convert_time: str = "convert the column to timestamps"
    timezone: str = "timezone"
