"""Fields of JSON objects: each declares its check and its JSON Schema in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dataart_mp.devsink.http.rejection import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Schema = dict[str, Any]

# The largest integer that JSON readers with 64 bits can represent.
LARGEST_INTEGER: Final = 2**63 - 1


class Field(NamedTuple):
    """A field of a JSON object.

    Attributes:
        schema: JSON Schema of its values, for the OpenAPI document.
        problem: Returns what is wrong with a value; None: the value is valid.
    """

    schema: Schema
    problem: Callable[[object], str | None]


def field(expected: str, schema: Schema, is_valid: Callable[[Any], bool]) -> Field:
    """Return a field whose error is `must be {expected}, not {value}`."""

    def problem(value: object) -> str | None:
        return None if is_valid(value) else f"must be {expected}, not {shown(value)}"

    return Field(schema, problem)


def integer(minimum: int, maximum: int = LARGEST_INTEGER) -> Field:
    """Return a field for integers within limits."""
    return field(
        f"an integer from {minimum} to {maximum}",
        {"type": "integer", "minimum": minimum, "maximum": maximum},
        lambda value: type(value) is int and minimum <= value <= maximum,
    )


def number(minimum: int, maximum: int) -> Field:
    """Return a field for integers and floats within limits."""
    return field(
        f"a number from {minimum} to {maximum}",
        {"type": "number", "minimum": minimum, "maximum": maximum},
        lambda value: is_number(value) and minimum <= value <= maximum,
    )


def is_number(value: object) -> bool:
    """Return whether a JSON value is a number; a boolean is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _boolean_problem(value: object) -> str | None:
    return None if type(value) is bool else f"must be true or false, not {shown(value)}"


BOOLEAN: Final = Field({"type": "boolean"}, _boolean_problem)


def object_schema(fields: Mapping[str, Field], required: Iterable[str] | None = None) -> Schema:
    """Return the JSON Schema of an object with these fields and no others.

    Args:
        fields: Fields by name.
        required: Names of the fields that must be present; None: all of them.
    """
    return {
        "type": "object",
        "properties": {name: field.schema for name, field in fields.items()},
        "required": list(fields if required is None else required),
        "additionalProperties": False,
    }
