"""What a right request carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from dataart_mp.devsink.rejection import RejectionError
from dataart_mp.devsink.shape import actions_of, identities_of

if TYPE_CHECKING:
    from dataart_mp.devsink.head import Kind


@dataclass(frozen=True, slots=True)
class Parcel:
    """The checked items of one request.

    Attributes:
        kind: What they are.
        items: They themselves.
        encoded: Each as JSON with sorted keys: equal items have equal bytes.
        idempotency_key: Under which they came.
    """

    kind: Kind
    items: list[dict[str, Any]]
    encoded: list[bytes]
    idempotency_key: str | None


def open_parcel(kind: Kind, content: bytes, idempotency_key: str | None) -> Parcel:
    """Check a body's content.

    Raises:
        RejectionError: It is not JSON, or not what the protocol says.
    """
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise RejectionError("body", f"is not JSON: {error}") from None
    try:
        items = actions_of(value) if kind == "actions" else identities_of(value)
    except RejectionError as error:
        raise error if error.field else error.within("body") from None
    return parcel_of(kind, items, idempotency_key)


def parcel_of(kind: Kind, items: list[dict[str, Any]], idempotency_key: str | None) -> Parcel:
    """A parcel of items whose fields were checked.

    Raises:
        RejectionError: Metadata that JSON can say but the sink cannot keep.
    """
    return Parcel(kind, items, _encoded(kind, items), idempotency_key)


def _encoded(kind: Kind, items: list[dict[str, Any]]) -> list[bytes]:
    encoded = []
    for index, item in enumerate(items):
        try:
            encoded.append(orjson.dumps(item, option=orjson.OPT_SORT_KEYS))
        except orjson.JSONEncodeError as error:
            # orjson reads deeper nesting than it writes.
            field = f"actions[{index}].metadata" if kind == "actions" else "metadata"
            raise RejectionError(field, f"cannot be kept: {error}") from None
    return encoded
