"""Which of the kept items are asked for."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import orjson

from dataart_mp.devsink.rejection import RejectionError, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

DEFAULT_LIMIT: Final = 1000


class Query:
    """A filter over kept items: by fields, by the id in the metadata, by number."""

    def __init__(
        self, fields: Mapping[str, str], identifier: str | None, id_field: str, limit: int
    ) -> None:
        self._fields = fields
        self._identifier = identifier
        self._id_field = id_field
        self._limit = limit
        self._needles = [
            b'"%b":%b' % (name.encode(), orjson.dumps(value)) for name, value in fields.items()
        ]

    def select(self, newest_first: Iterable[bytes]) -> list[bytes]:
        """The newest items that match, oldest first."""
        found = list(islice(filter(self._matches, newest_first), self._limit))
        found.reverse()
        return found

    def _matches(self, encoded: bytes) -> bool:
        if not self._fields and self._identifier is None:
            return True
        # Most items fail here, without the cost of decoding them.
        if not all(needle in encoded for needle in self._needles):
            return False
        item = orjson.loads(encoded)
        if any(item[name] != value for name, value in self._fields.items()):
            return False
        return self._identifier is None or self._identifier == self._identifier_of(item)

    def _identifier_of(self, item: dict[str, Any]) -> str | None:
        value = (item["metadata"] or {}).get(self._id_field)
        return str(value) if type(value) in (str, int) else None


def check_names(params: Mapping[str, str], known: Collection[str]) -> None:
    """Refuse a parameter that means nothing here, rather than ignore a misspelt filter.

    Raises:
        RejectionError: There is one.
    """
    for name in params:
        if name not in known:
            raise RejectionError(f"query {shown(name)}", f"is none of {', '.join(known)}")


def limit_of(params: Mapping[str, str]) -> int:
    """The parameter `limit`.

    Raises:
        RejectionError: It is not a natural number.
    """
    text = params.get("limit", str(DEFAULT_LIMIT))
    # Nine digits are enough for all that memory holds.
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise RejectionError("query limit", f"must be a number of at least 0, not {shown(text)}")
    return int(text)
