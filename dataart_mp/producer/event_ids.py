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
_NO_METADATA: Final = b'"metadata":null}\n'
_NULL: Final = b"null}\n"
_END: Final = b"}}\n"


class EventIds:
    """Adds ids to records of actions.

    Args:
        name: The name of the id in the metadata.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._encoded = encode_plain(name)

    def with_id(self, record: bytes, content: bytes | None = None) -> bytes:
        """Return a record whose metadata has an id.

        Args:
            record: The record of an action, with its newline.
            content: What the id is a digest of; None: the record, without its newline.
        """
        if self._encoded in record and self._has_id(record):
            return record
        digest = blake2b(record[:-1] if content is None else content, digest_size=_DIGEST_BYTES)
        entry = b'%b:"%b"' % (self._encoded, digest.hexdigest().encode())
        if record.endswith(_NO_METADATA):
            return b"%b{%b%b" % (record[: -len(_NULL)], entry, _END)
        metadata = record[: -len(_END)]
        comma = b"" if metadata.rstrip().endswith(b"{") else b","  # `{` ends it if it is empty
        return b"%b%b%b%b" % (metadata, comma, entry, _END)

    def _has_id(self, record: bytes) -> bool:
        """Whether the metadata has the name; the bytes of it may also be in a value."""
        return self._name in (orjson.loads(record)["metadata"] or {})
