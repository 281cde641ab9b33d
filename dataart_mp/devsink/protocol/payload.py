"""The payload of a valid request: its items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from dataart_mp.devsink.http.rejection import RejectionError
from dataart_mp.devsink.protocol.exact_json import canonical, loads
from dataart_mp.devsink.protocol.shape import actions_of, identities_of

if TYPE_CHECKING:
    from dataart_mp.devsink.protocol.kind import Kind


@dataclass(frozen=True, slots=True)
class Payload:
    """The checked items of one request.

    Attributes:
        kind: Kind of the items.
        items: The items as Python objects.
        encoded: Each item as JSON with sorted keys, so that equal items have equal bytes.
        idempotency_key: Idempotency-Key of the request; None: it had none.
    """

    kind: Kind
    items: list[dict[str, Any]]
    encoded: list[bytes]
    idempotency_key: str | None


def parse_payload(kind: Kind, content: bytes, idempotency_key: str | None) -> Payload:
    """Parse and check the content of a body.

    Raises:
        RejectionError: The content is not JSON, or a field is wrong.
    """
    try:
        value = loads(content)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise RejectionError("body", f"is not JSON: {error}") from None
    try:
        items = actions_of(value) if kind == "actions" else identities_of(value)
    except RejectionError as error:
        raise error if error.field else error.within("body") from None
    return payload_of(kind, items, idempotency_key)


def payload_of(kind: Kind, items: list[dict[str, Any]], idempotency_key: str | None) -> Payload:
    """Return the payload with these items, whose fields are already checked.

    Raises:
        RejectionError: Metadata is valid JSON that the sink cannot encode again.
    """
    return Payload(kind, items, _encoded(kind, items), idempotency_key)


def _encoded(kind: Kind, items: list[dict[str, Any]]) -> list[bytes]:
    encoded = []
    for index, item in enumerate(items):
        try:
            encoded.append(canonical(item))
        except orjson.JSONEncodeError as error:
            # orjson reads deeper nesting than it writes.
            field = f"actions[{index}].metadata" if kind == "actions" else "metadata"
            raise RejectionError(field, f"cannot be kept: {error}") from None
    return encoded
