"""A value that is the same in all rows of a table."""

from typing import Any, NamedTuple


class Literal(NamedTuple):
    """A value that is the same in all rows, where a string would be the name of a column.

    Attributes:
        value: The value.
    """

    value: Any


def lit(value: Any) -> Literal:
    """Return a value that is the same in all rows of a table, for `emit_table`.

        client.emit_table(purchases, key=lit("purchase"), user_key="customer")

    Args:
        value: Text, or any value that the argument accepts; in the metadata, any JSON value.
    """
    return Literal(value)
