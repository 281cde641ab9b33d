"""Which of the kept items are asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from dataart_mp.devsink.rejection import RejectionError, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from dataart_mp.devsink.head import Kind

DEFAULT_LIMIT: Final = 1000
LONGEST_TEXT: Final = 1000
# Nine digits are enough for all that memory holds.
LARGEST_NUMBER: Final = 999_999_999

# Items as orjson writes them with sorted keys; their values are what text is looked for in.
_STRING: Final = rb'"([^"\\]*(?:\\.[^"\\]*)*)"'
_ACTION: Final = re.compile(
    rb'\{"is_anonymous_user":(?:true|false),"key":%b,' % _STRING
    + rb'"metadata":(.*),"timestamp":"([^"]*)","user_key":%b\}' % _STRING,
    re.DOTALL,
).fullmatch
_IDENTITY: Final = re.compile(rb'\{"metadata":(.*),"user_key":%b\}' % _STRING, re.DOTALL).fullmatch
_WILDCARDS: Final = str.maketrans({"%": "~%", "_": "~_", "~": "~~"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A filter over items. Most fail at their JSON text, without the cost of decoding it.

    Attributes:
        kind: Only items of this kind.
        key: Only actions of this key.
        user_key: Only items of this user.
        identifier: Only actions with this value of the id field, a text or a whole number.
        text: Only items with this in a value or in their metadata, in capitals or not (of ASCII).
        id_field: Which field of the metadata the identifier is.
        limit: At most so many, the newest.
    """

    kind: Kind | None = None
    key: str | None = None
    user_key: str | None = None
    identifier: str | None = None
    text: str | None = None
    id_field: str = "_id"
    limit: int = DEFAULT_LIMIT

    @property
    def is_open(self) -> bool:
        """Whether everything of the right kind matches."""
        return self.key is self.user_key is self.identifier is self.text is None

    def concerns(self, kind: Kind) -> bool:
        """Whether items of this kind can match at all."""
        if kind == "identities" and not (self.key is self.identifier is None):
            return False
        return self.kind in (None, kind)

    def condition(self) -> tuple[str, list[str]]:
        """SQL that holds for every request with an item that matches, and its parameters."""
        clauses, patterns = ["1"], []
        for parts in self._parts():
            likes = " OR ".join(["items LIKE ? ESCAPE '~'"] * len(parts))
            clauses.append(f"({likes})")
            patterns += [f"%{part.translate(_WILDCARDS)}%" for part in parts]
        return " AND ".join(clauses), patterns

    def matches(self, encoded: bytes) -> bool:
        """Whether an item is asked for."""
        if self.text is not None and not self._has_text(encoded):
            return False
        if self.key is self.user_key is self.identifier is None:
            return True
        lowered = encoded.lower()
        for parts in self._parts():
            if not any(part.encode().lower() in lowered for part in parts):
                return False
        item = orjson.loads(encoded)
        return (
            self.key in (None, item.get("key"))
            and self.user_key in (None, item["user_key"])
            and self.identifier in (None, self._identifier_of(item))
        )

    def _parts(self) -> Iterator[list[str]]:
        """What JSON that matches has in it, capitals or not: one of each list.

        None begins with a quotation mark: SQLite looks for the first character, and there are many.
        """
        for value in (self.key, self.user_key):
            if value is not None:
                yield [f'{_inside(value)}"']
        if self.identifier is not None:
            name = f'{_inside(self.id_field)}":'
            yield [f"{name}{_json(self.identifier)}", f"{name}{self.identifier}"]
        if self.text is not None:
            yield [_inside(self.text)]

    def _identifier_of(self, item: dict[str, Any]) -> str | None:
        value = (item["metadata"] or {}).get(self.id_field)
        return str(value) if type(value) in (str, int) else None

    def _has_text(self, encoded: bytes) -> bool:
        needle = _inside(self.text or "").encode().lower()
        lowered = encoded.lower()
        if needle not in lowered:
            return False
        values = _ACTION(lowered) or _IDENTITY(lowered)
        return values is not None and any(needle in value for value in values.groups())


def check_names(params: Mapping[str, str], known: Collection[str]) -> None:
    """Refuse a parameter that means nothing here, rather than ignore a misspelt filter.

    Raises:
        RejectionError: There is one.
    """
    for name in params:
        if name not in known:
            wanted = f"is none of {', '.join(known)}" if known else "means nothing here"
            raise RejectionError(f"query {shown(name)}", wanted)


def kind_of(params: Mapping[str, str]) -> Kind | None:
    """The parameter `kind`.

    Raises:
        RejectionError: It is no kind of items.
    """
    match params.get("kind"):
        case None | "actions" | "identities" as kind:
            return kind
        case other:
            raise RejectionError("query kind", f"must be actions or identities, not {shown(other)}")


def limit_of(params: Mapping[str, str], otherwise: int = DEFAULT_LIMIT) -> int:
    """The parameter `limit`.

    Raises:
        RejectionError: It is not a natural number.
    """
    return number_of(params, "limit") if "limit" in params else otherwise


def number_of(params: Mapping[str, str], name: str) -> int:
    """A parameter that is a natural number.

    Raises:
        RejectionError: It is not.
    """
    text = params[name]
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_NUMBER))):
        wanted = f"must be a whole number from 0 to {LARGEST_NUMBER}"
        raise RejectionError(f"query {name}", f"{wanted}, not {shown(text)}")
    return int(text)


def text_of(params: Mapping[str, str]) -> str | None:
    """The parameter `text`; an empty one is none.

    Raises:
        RejectionError: It is too long to be looked for.
    """
    text = params.get("text") or None
    if text is not None and len(text) > LONGEST_TEXT:
        raise RejectionError("query text", f"has more than {LONGEST_TEXT} characters")
    return text


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _inside(text: str) -> str:
    """How a text looks within a string of JSON."""
    return _json(text)[1:-1]
