"""The head of a request for the platform, which is checked before the body is read."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dataart_mp.devsink.http.rejection import RejectionError, rejection, shown
from dataart_mp.devsink.protocol.kind import KINDS, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dataart_mp.devsink.http.guard import Guard
    from dataart_mp.devsink.protocol.kind import Kind

_JSON_TYPES: Final = frozenset({"application/json", "application/json;charset=utf-8"})
_AT_MOST_ONCE: Final = (
    "Host",
    "X-API-Key",
    "Content-Type",
    "User-Agent",
    "Content-Length",
    "Content-Encoding",
    "Idempotency-Key",
)
_IDEMPOTENCY_KEY: Final = re.compile(rb"[!-~]{1,255}").fullmatch


@dataclass(frozen=True, slots=True)
class Head:
    """A valid head.

    Attributes:
        kind: Kind of the items that the body must have.
        encoding: Content-Encoding; None: the body is not compressed.
        length: Content-Length; None: the body is chunked.
        idempotency_key: Idempotency-Key; None: the client sent none.
    """

    kind: Kind
    encoding: str | None
    length: int | None
    idempotency_key: str | None


def check_head(
    method: str,
    path: str,
    query: bytes,
    headers: list[tuple[bytes, bytes]],
    api_key: str | None,
    guard: Guard,
) -> Head:
    """Check the head of a request, and return its parts.

    Args:
        method: Method as sent.
        path: Path as sent, without the query.
        query: Query as sent, without the question mark.
        headers: Lower-case names and their values.
        api_key: The only accepted X-API-Key; None: any that is not empty.
        guard: Checks the host and the origin.

    Raises:
        RejectionError: A part is wrong; the error names all headers that are.
    """
    kind = kind_of(path)
    if kind is None:
        raise RejectionError(
            "path", f"{shown(path)} must end with {' or '.join(KINDS)}", status=404
        )
    if method != "POST":
        raise RejectionError("method", f"must be POST, not {shown(method)}", status=405)
    if query:
        raise RejectionError("query", f"must be absent, not {shown(query.decode('latin-1'))}")
    fields = _unique(headers)
    guard.check(method, fields)
    found = [
        *_api_key_errors(fields.get(b"x-api-key"), api_key),
        *_missing_headers(fields),
        *_idempotency_key_errors(fields.get(b"idempotency-key")),
    ]
    if found:
        raise rejection([error.problems[0] for error in found], found[0].status)
    return Head(kind, _encoding(fields), _length(fields), _idempotency_key(fields))


def _unique(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    fields = dict(headers)
    if len(fields) != len(headers):
        names = [name for name, _ in headers]
        for name in _AT_MOST_ONCE:
            if names.count(name.lower().encode()) > 1:
                raise RejectionError(f"header {name}", "is duplicated; send it once")
    return fields


def _api_key_errors(given: bytes | None, expected: str | None) -> Iterator[RejectionError]:
    if not given:
        problem = "is missing" if given is None else "is empty"
        yield RejectionError("header X-API-Key", problem, status=401)
    elif expected is not None and not hmac.compare_digest(given, expected.encode()):
        yield RejectionError("header X-API-Key", "is not the key of this sink", status=401)


def _missing_headers(fields: Mapping[bytes, bytes]) -> Iterator[RejectionError]:
    for name in ("Host", "User-Agent", "Content-Type"):
        if not fields.get(name.lower().encode()):
            yield RejectionError(f"header {name}", "is missing or empty")
    media_type = fields.get(b"content-type", b"").decode("latin-1")
    if media_type and media_type.lower().replace(" ", "") not in _JSON_TYPES:
        yield RejectionError(
            "header Content-Type", f"must be application/json, not {shown(media_type)}", status=415
        )


def _idempotency_key_errors(key: bytes | None) -> Iterator[RejectionError]:
    if key is not None and not _IDEMPOTENCY_KEY(key):
        yield RejectionError(
            "header Idempotency-Key",
            "must have 1 to 255 ASCII characters without spaces, "
            f"not {shown(key.decode('latin-1'))}",
        )


def _encoding(fields: Mapping[bytes, bytes]) -> str | None:
    encoding = fields.get(b"content-encoding")
    return None if encoding is None else encoding.decode("latin-1").lower()


def _length(fields: Mapping[bytes, bytes]) -> int | None:
    # The HTTP parser has already rejected a length that is not a number.
    length = fields.get(b"content-length")
    return None if length is None else int(length)


def _idempotency_key(fields: Mapping[bytes, bytes]) -> str | None:
    key = fields.get(b"idempotency-key")
    return None if key is None else key.decode("latin-1")
