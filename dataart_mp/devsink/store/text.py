"""The text of a search: words, phrases in quotation marks, and fields such as `dest:SFO`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dataart_mp.devsink.protocol.exact_json import loads

if TYPE_CHECKING:
    from collections.abc import Iterator

# A name and its value, a phrase, or a word.
_TERM: Final = re.compile(r'([^\s:"]+):\s?("[^"]*"|\S+)|"([^"]+)"|(\S+)')
_ALIASES: Final = {"user": "user_key", "anonymous": "is_anonymous_user"}


@dataclass(frozen=True, slots=True)
class Term:
    """One part of the text of a search.

    Attributes:
        literal: The part as it was written, without quotation marks around it.
        value: What the field must have; for a word or phrase, the same as `literal`.
        name: Name or dotted path of the field, in lower case; None: it is a word or phrase.
    """

    literal: str
    value: str
    name: str | None = None

    def is_field_of(self, encoded: bytes) -> bool:
        """Return whether an item, as JSON, has the value in a field of this name.

        A string must contain the value; a number, boolean or null must be written like it. ASCII
        letters match in either case. The field may be at any depth; a list has all its elements.
        """
        if self.name is None:
            return False
        value = _lower(self.value)
        for path, leaf in _leaves("", loads(encoded)):
            # The fields of the protocol are found without the prefix `metadata`.
            if path != self.name and not path.endswith(f".{self.name}"):
                continue
            if value in _lower(leaf) if isinstance(leaf, str) else value == _written(leaf):
                return True
        return False


def terms_of(text: str) -> list[Term]:
    """Split the text of a search into its terms, all of which an item must match."""
    return [_term(match) for match in _TERM.finditer(text)]


def _term(match: re.Match[str]) -> Term:
    name, value, phrase, word = match.groups()
    if name is None:
        literal = phrase or word
        return Term(literal, literal)
    value = value.strip('"') or value
    return Term(f"{name}:{value}", value, _ALIASES.get(_lower(name), _lower(name)))


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield each value that is neither an object nor a list, with the dotted path to it."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(f"{path}.{_lower(name)}" if path else _lower(name), inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(path, inner)
    else:
        yield path, value


def _written(leaf: object) -> str:
    return _lower(json.dumps(leaf))


def _lower(text: str) -> str:
    """Return a text with ASCII letters in lower case, as the store compares the bytes of items."""
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")
