"""A query over the kept items."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

from dataart_mp.devsink.counters.counters import is_identifier
from dataart_mp.devsink.protocol.exact_json import loads
from dataart_mp.devsink.store.text import terms_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dataart_mp.devsink.protocol.kind import Kind
    from dataart_mp.devsink.store.delivery import Delivery, DuplicateKind
    from dataart_mp.devsink.store.text import Term

DEFAULT_LIMIT: Final = 1000

# Items as orjson writes them with sorted keys; the groups are the values that `text` searches.
# Possessive, because backtracking into a long string would take 100 times its memory.
_STRING: Final = rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_ACTION: Final = re.compile(
    rb'\{"is_anonymous_user":(?:true|false),"key":%b,' % _STRING
    + rb'"metadata":(.*),"timestamp":"([^"]*)","user_key":%b\}' % _STRING,
    re.DOTALL,
).fullmatch
_IDENTITY: Final = re.compile(rb'\{"metadata":(.*),"user_key":%b\}' % _STRING, re.DOTALL).fullmatch
# LIKE compares the whole pattern at each character of a row. Python's search takes linear time, so
# it decides about long rows, and about the rest of long patterns.
_LONGEST_PATTERN: Final = 64
_LONGEST_LIKE_BYTES: Final = 64 * 1024
# More would cost more than they rule out.
_MOST_PATTERNS: Final = 8
_DUPLICATE_ROWS: Final = {
    None: "1",
    "any": "duplicates != '[]'",
    "explained": "duplicates != '[]' AND explained",
    "unexplained": "duplicates != '[]' AND NOT explained",
}
_WILDCARDS: Final = str.maketrans({"%": "~%", "_": "~_", "~": "~~"})


@dataclass(frozen=True, kw_only=True)
class Query:
    """A filter over items; most items are ruled out by their JSON text, without decoding it.

    Attributes:
        kind: Only items of this kind.
        key: Only actions with this key.
        user_key: Only items of this user.
        identifier: Only actions with this value of the id field, a string or an integer.
        text: Only items with this text, or with all its terms, in a value or in the metadata;
            ASCII letters match in either case.
        duplicate: Only duplicates of this kind; `any`: of either kind.
        id_field: Field of the metadata that `identifier` is compared with.
        limit: Maximum number of items; the newest are returned.
    """

    kind: Kind | None = None
    key: str | None = None
    user_key: str | None = None
    identifier: str | None = None
    text: str | None = None
    duplicate: DuplicateKind | Literal["any"] | None = None
    id_field: str = "_id"
    limit: int = DEFAULT_LIMIT

    @property
    def is_open(self) -> bool:
        """Whether all items of the kind match."""
        return self._accepts_all_content and self.duplicate is None

    def includes(self, kind: Kind) -> bool:
        """Return whether items of this kind can match at all."""
        if kind == "identities" and not (self.key is self.identifier is None):
            return False
        return self.kind in (None, kind)

    def condition(self) -> tuple[str, list[str]]:
        """Return an SQL condition, met by all rows with a matching item, and its parameters."""
        clauses, patterns = [], []
        for parts in self._parts():
            likes = " OR ".join(["items LIKE ? ESCAPE '~'"] * len(parts))
            clauses.append(f"({likes})")
            patterns += [_pattern(part) for part in parts]
            if len(patterns) >= _MOST_PATTERNS:
                break
        is_duplicate = _DUPLICATE_ROWS[self.duplicate]
        if not clauses:
            return is_duplicate, []
        is_long = f"length(CAST(items AS BLOB)) > {_LONGEST_LIKE_BYTES}"
        return f"{is_duplicate} AND ({is_long} OR {' AND '.join(clauses)})", patterns

    def selects(self, delivery: Delivery, index: int) -> bool:
        """Return whether the item at an index of a delivery matches."""
        if self.duplicate is not None:
            kind = delivery.duplicate(index)
            if kind is None or self.duplicate not in ("any", kind):
                return False
        return self._accepts_all_content or self.matches(delivery.encoded[index])

    def matches(self, encoded: bytes) -> bool:
        """Return whether the content of an item, as JSON with sorted keys, matches."""
        if self.text is not None and not self._has_text(encoded):
            return False
        if self.key is self.user_key is self.identifier is None:
            return True
        lowered = encoded.lower()
        for parts in self._parts():
            if not any(part.encode().lower() in lowered for part in parts):
                return False
        item = loads(encoded)
        return (
            self.key in (None, item.get("key"))
            and self.user_key in (None, item["user_key"])
            and self.identifier in (None, self._identifier_of(item))
        )

    def _parts(self) -> Iterator[list[str]]:
        """Yield lists of texts; matching JSON contains one text of each list, in either case.

        No text begins with a quotation mark: SQLite searches for the first character, and quotation
        marks are frequent.
        """
        for value in (self.key, self.user_key):
            if value is not None:
                yield [f'{_inside(value)}"']
        if self.identifier is not None:
            name = f'{_inside(self.id_field)}":'
            yield [f"{name}{_json(self.identifier)}", f"{name}{self.identifier}"]
        for value in self._values:
            yield [value]

    @property
    def _accepts_all_content(self) -> bool:
        return self.key is self.user_key is self.identifier is self.text is None

    @functools.cached_property
    def _terms(self) -> list[Term]:
        return terms_of(self.text or "")

    @functools.cached_property
    def _values(self) -> list[str]:
        """The values of all terms, as they appear in JSON."""
        if self.text is None:
            return []
        # The text itself contains all of them, so an item with the text does too.
        return [_inside(term.value) for term in self._terms] or [_inside(self.text)]

    def _identifier_of(self, item: dict[str, Any]) -> str | None:
        value = (item["metadata"] or {}).get(self.id_field)
        return str(value) if is_identifier(value) else None

    def _has_text(self, encoded: bytes) -> bool:
        lowered = encoded.lower()
        if not all(value.encode().lower() in lowered for value in self._values):
            return False
        match = _ACTION(lowered) or _IDENTITY(lowered)
        if match is None:
            return False

        def has(text: str) -> bool:
            needle = _inside(text).encode().lower()
            return any(needle in value for value in match.groups())

        if has(self.text or ""):
            return True
        return bool(self._terms) and all(
            has(term.literal) or term.is_field_of(encoded) for term in self._terms
        )


def _pattern(part: str) -> str:
    return f"%{part[:_LONGEST_PATTERN].translate(_WILDCARDS)}%"


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _inside(text: str) -> str:
    """Return a text as it appears in a JSON string, without the quotation marks."""
    return _json(text)[1:-1]
