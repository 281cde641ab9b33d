"""Query parameters of the control API: each declares its schema and its parser in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dataart_mp.devsink.http.rejection import RejectionError, shown
from dataart_mp.devsink.store.query import DEFAULT_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from dataart_mp.devsink.protocol.field import Schema

LONGEST_TEXT: Final = 1000
# Nine digits suffice for every number that the sink keeps.
LARGEST_NUMBER: Final = 999_999_999


_DUPLICATES: Final = ("explained", "unexplained", "any")


class Parameter(NamedTuple):
    """A query parameter.

    Attributes:
        description: Description for the OpenAPI document.
        schema: JSON Schema of its values.
        parse: Returns the value of a text; raises a RejectionError for a text that is wrong.
    """

    description: str
    schema: Schema
    parse: Callable[[str], Any]


def _kind(text: str) -> str:
    if text not in ("actions", "identities"):
        raise RejectionError("query kind", f"must be actions or identities, not {shown(text)}")
    return text


def _duplicate(text: str) -> str:
    if text not in _DUPLICATES:
        expected = f"must be {' or '.join(_DUPLICATES)}"
        raise RejectionError("query duplicate", f"{expected}, not {shown(text)}")
    return text


def _text(name: str, description: str) -> Parameter:
    def parse(text: str) -> str:
        if len(text) > LONGEST_TEXT:
            raise RejectionError(f"query {name}", f"has more than {LONGEST_TEXT} characters")
        return text

    return Parameter(description, {"type": "string", "maxLength": LONGEST_TEXT}, parse)


def _integer(name: str, description: str, **schema: int) -> Parameter:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_NUMBER))):
            expected = f"must be an integer from 0 to {LARGEST_NUMBER}"
            raise RejectionError(f"query {name}", f"{expected}, not {shown(text)}")
        return int(text)

    limits = {"type": "integer", "minimum": 0, "maximum": LARGEST_NUMBER}
    return Parameter(description, {**limits, **schema}, parse)


PARAMETERS: Final[Mapping[str, Parameter]] = {
    "kind": Parameter("Only items of this kind.", {"enum": ["actions", "identities"]}, _kind),
    "key": _text("key", "Only events with this key."),
    "user_key": _text("user_key", "Only items of this user."),
    "id": _text("id", "Only events with this value in the id field of their metadata."),
    "text": _text(
        "text",
        "Only items with this text in their keys or metadata, or with all its words, phrases in "
        "quotation marks and fields (`dest:SFO`); ASCII letters match in either case.",
    ),
    "duplicate": Parameter(
        "Only duplicates: `explained`, `unexplained`, or `any`.",
        {"enum": list(_DUPLICATES)},
        _duplicate,
    ),
    "request": _integer("request", "Only the request with this number."),
    "limit": _integer(
        "limit", "Maximum number of items; the newest are returned.", default=DEFAULT_LIMIT
    ),
    "number": _integer("number", "Number of the rule to remove; without it, all are removed."),
}

EVENT_PARAMETERS: Final = ("key", "user_key", "id", "text", "duplicate", "limit")
IDENTITY_PARAMETERS: Final = ("user_key", "text", "duplicate", "limit")
REJECTED_PARAMETERS: Final = ("request", "limit")
ARRIVAL_PARAMETERS: Final = ("kind", *EVENT_PARAMETERS)


def parse_query(params: Mapping[str, str], names: Collection[str] = ()) -> dict[str, Any]:
    """Return the values of the parameters of a request.

    Args:
        params: Parameters as sent.
        names: Names of the parameters that the endpoint has.

    Raises:
        RejectionError: A parameter is wrong or unknown; a misspelt filter is not ignored.
    """
    for name in params:
        if name not in names:
            expected = f"use {', '.join(names)}" if names else "there are none here"
            raise RejectionError(f"query {shown(name)}", f"is not a parameter; {expected}")
    return {name: PARAMETERS[name].parse(text) for name, text in params.items()}
