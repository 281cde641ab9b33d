"""The envelope: the body of a request around records that are encoded already.

    actions     {"timestamp":"2021-05-04T10:11:12+00:00","actions":[record,record,…]}
    identity    record

The format is that of the platform's API. The outer timestamp is the moment of sending.
"""

from datetime import UTC, datetime
from typing import Final

_ACTIONS_PATH: Final = "/events/send-actions"
_IDENTITY_PATH: Final = "/users/identify"
PATHS: Final = (_ACTIONS_PATH, _IDENTITY_PATH)
"""The platform's endpoints, relative to the base URL."""


def path_of(is_identity: bool) -> str:
    """Return the endpoint that takes identities, or the one that takes actions."""
    return _IDENTITY_PATH if is_identity else _ACTIONS_PATH


def body_of(records: bytes, timestamp: bytes, *, is_identity: bool) -> bytes:
    """Return the body of one request.

    Args:
        records: JSON Lines as the encoder wrote them; exactly one line for an identity.
        timestamp: The moment of sending, in ISO 8601 with its UTC offset.
        is_identity: Whether the record is an identity, or else all are actions.
    """
    if is_identity:
        return records[:-1]
    # orjson writes no raw newline inside a record, so every newline ends one.
    actions = memoryview(records.replace(b"\n", b","))[:-1]  # a view, because a copy takes long
    return b"".join((b'{"timestamp":"', timestamp, b'","actions":[', actions, b"]}"))


_ADDED_BYTES: Final = len(body_of(b"\n", b"", is_identity=False)) - 1


def size_of_body(size: int, timestamp: bytes, *, is_identity: bool) -> int:
    """Return the size of what `body_of` returns, in bytes.

    Args:
        size: The size of the records in bytes.
        timestamp: As for `body_of`.
        is_identity: As for `body_of`.
    """
    return size - 1 if is_identity else size + len(timestamp) + _ADDED_BYTES


_LATEST: Final = datetime.max.replace(tzinfo=UTC).isoformat().encode()
MAX_BYTES: Final = len(body_of(b"\n", _LATEST, is_identity=False))
"""The most bytes that a body of actions adds to its records."""
