"""Deterministic ids of actions, for platforms and warehouses that count each event once.

    {"key":…,"metadata":{"price":2.5}}  ─►  {"key":…,"metadata":{"price":2.5,"_id":"9f86d0818…"}}

The id is a digest of the record without the id: equal actions have equal ids, in every process and
at every attempt. An id that the application has set itself is kept.
"""

from hashlib import blake2b
from typing import Final

import orjson

from dataart_mp.producer.plain import encode_plain

_DIGEST_BYTES: Final = 16
_NULL: Final = b"null}\n"
_END: Final = b'"}}\n'


class EventIds:
    """Adds ids to records of actions.

    Args:
        name: The name of the id in the metadata.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._encoded = encode_plain(name)
        self._only = b'%b:"' % self._encoded
        self._next = b"," + self._only

    def with_id(self, record: bytes, content: bytes | None = None) -> bytes:
        """Return a record whose metadata has an id.

        Args:
            record: The record of an action, with its newline.
            content: What the id is a digest of; None: the record, without its newline.
        """
        if self._encoded in record and self._has_id(record):
            return record
        content = record[:-1] if content is None else content
        digest = blake2b(content, digest_size=_DIGEST_BYTES).hexdigest().encode()
        if record.endswith(_NULL):  # it has no metadata
            return record[: -len(_NULL)] + b"{" + self._only + digest + _END
        metadata = record[:-3]  # without the braces that end the metadata and the action
        is_empty = metadata.endswith((b"{", b" ")) and metadata.rstrip().endswith(b"{")
        return metadata + (self._only if is_empty else self._next) + digest + _END

    def _has_id(self, record: bytes) -> bool:
        """Whether the metadata has the name; the bytes of it may also be in a value."""
        return self._name in (orjson.loads(record)["metadata"] or {})
