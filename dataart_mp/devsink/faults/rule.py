"""A fault rule: when a fault happens, which one, and how the rule is written as JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from dataart_mp.devsink.http.rejection import RejectionError, shown
from dataart_mp.devsink.http.response import Response
from dataart_mp.devsink.protocol.field import (
    BOOLEAN,
    LARGEST_INTEGER,
    Field,
    Schema,
    field,
    integer,
    is_number,
    number,
    object_schema,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dataart_mp.devsink.protocol.kind import Kind

FaultKind = Literal["latency", "status", "hang", "disconnect", "ack_lost", "refuse", "refuse_bytes"]

# A day. Clocks of event loops do not take every number.
LONGEST_SECONDS: Final = 86_400

_SUCCESS: Final = range(200, 300)
_HEADER_NAME: Final = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_IS_HEADER_NAME: Final = re.compile(_HEADER_NAME).fullmatch
# Headers that frame the body: the sink sets them itself.
_FRAMING: Final = ("content-length", "content-type", "transfer-encoding")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """When a fault happens, and which one.

    Kinds:
        latency: Wait `seconds`, then continue with the next rule.
        status: Respond with `status`; a 2xx accepts the items.
        hang: Send nothing for `seconds` (None: until the client disconnects or the rules change),
            then close the connection; nothing is accepted.
        disconnect: Close the connection without a response; nothing is accepted.
        ack_lost: Accept the items, then close the connection without a response.
        refuse: Respond with `status` (default 400) to a request with a matching item.
        refuse_bytes: Respond with 413 to a body of more than `over` bytes, as sent.

    Attributes:
        kind: Kind of the fault.
        path: Apply only to requests with this kind of items; None: to all.
        match: Apply only to requests with an item that has these fields, such as
            `{"key": "bad"}` or `{"metadata": {"plan": "free"}}`; None: to all.
        rate: Probability that the rule fires.
        seed: Seed of the random numbers for `rate`; None: another sequence each time.
        times: Maximum number of times that the rule fires; None: no limit.
        for_seconds: Seconds after which the rule expires; None: never.
        status: Status of the response.
        retry_after: Retry-After of the response: seconds or an HTTP date.
        headers: Further headers of the response, such as `location`.
        seconds: Duration of a latency or a hang.
        over: Largest body, in bytes, that is not refused.
        reset: Close the connection with a RST instead of a FIN.
    """

    kind: FaultKind
    path: Kind | None = None
    match: Mapping[str, Any] | None = None
    rate: float = 1.0
    seed: int | None = None
    times: int | None = None
    for_seconds: float | None = None
    status: int | None = None
    retry_after: float | str | None = None
    headers: Mapping[str, str] = dataclass_field(default_factory=dict)
    seconds: float | None = None
    over: int | None = None
    reset: bool = False

    @property
    def response_status(self) -> int | None:
        """Status of the response; None: the connection is closed without one."""
        match self.kind:
            case "status":
                return self.status
            case "refuse":
                return self.status or 400
            case "refuse_bytes":
                return 413
            case _:
                return None

    @property
    def accepts(self) -> bool:
        """Whether the items count as arrived."""
        return self.kind == "ack_lost" or self.response_status in _SUCCESS

    def response(self, status: int) -> Response:
        """Return the response to a valid request for which this rule fired."""
        headers = [(name.lower().encode(), text.encode()) for name, text in self.headers.items()]
        if self.retry_after is not None:
            headers.append((b"retry-after", str(self.retry_after).encode()))
        return Response(status, {"fault": self.kind}, headers)


class _KindOfFault(NamedTuple):
    """The declaration of a kind of fault: its own fields, and which fields it requires."""

    description: str
    fields: Mapping[str, Field]
    required: tuple[str, ...] = ()


def _is_header_text(value: object) -> bool:
    return type(value) is str and value.isascii() and value.isprintable()


def _are_headers(value: object) -> bool:
    return type(value) is dict and all(
        _IS_HEADER_NAME(name) and name.lower() not in _FRAMING and _is_header_text(text)
        for name, text in value.items()
    )


def _in_any_case(word: str) -> str:
    """Return a regular expression for a word in any case; JSON Schema has no flag for it."""
    return "".join(f"[{sign.upper()}{sign}]" if sign.isalpha() else sign for sign in word)


_HEADER_TEXT: Final = {"type": "string", "pattern": "^[ -~]*$"}
_HEADERS: Final = {
    "type": "object",
    "propertyNames": {
        "pattern": f"^{_HEADER_NAME}$",
        "not": {"pattern": f"^({'|'.join(map(_in_any_case, _FRAMING))})$"},
    },
    "additionalProperties": _HEADER_TEXT,
}
_COMMON: Final[Mapping[str, Field]] = {
    "path": field(
        '"actions" or "identities"',
        {"enum": ["actions", "identities"]},
        lambda value: value in ("actions", "identities"),
    ),
    "match": field(
        "an object with at least one field",
        {"type": "object", "minProperties": 1},
        lambda value: type(value) is dict and bool(value),
    ),
    "rate": number(0, 1),
    "seed": integer(-LARGEST_INTEGER),
    "times": integer(1),
    "for_seconds": field(
        f"a number above 0 and up to {LONGEST_SECONDS}",
        {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_SECONDS},
        lambda value: is_number(value) and 0 < value <= LONGEST_SECONDS,
    ),
}
_SECONDS: Final = number(0, LONGEST_SECONDS)
_RESPONSE: Final[Mapping[str, Field]] = {
    "retry_after": field(
        "a number of at least 0 or an HTTP date",
        {"anyOf": [{"type": "number", "minimum": 0}, _HEADER_TEXT]},
        lambda value: (is_number(value) and value >= 0) or _is_header_text(value),
    ),
    "headers": field(
        f"an object of ASCII strings, without {', '.join(_FRAMING)}", _HEADERS, _are_headers
    ),
}
_KINDS: Final[Mapping[FaultKind, _KindOfFault]] = {
    "latency": _KindOfFault(
        "Wait, then continue with the next rule.", {"seconds": _SECONDS}, ("seconds",)
    ),
    "status": _KindOfFault(
        "Respond with this status; a 2xx accepts the items.",
        {"status": integer(200, 599), **_RESPONSE},
        ("status",),
    ),
    "hang": _KindOfFault(
        "Send nothing, then close the connection.", {"seconds": _SECONDS, "reset": BOOLEAN}
    ),
    "disconnect": _KindOfFault("Close the connection without a response.", {"reset": BOOLEAN}),
    "ack_lost": _KindOfFault(
        "Accept the items, then close the connection without a response.", {"reset": BOOLEAN}
    ),
    "refuse": _KindOfFault(
        "Respond with a 4xx to a request with a matching item.",
        {"status": integer(400, 499), **_RESPONSE},
        ("match",),
    ),
    "refuse_bytes": _KindOfFault(
        "Respond with 413 to a larger body.", {"over": integer(0), **_RESPONSE}, ("over",)
    ),
}


def parse_rule(value: object) -> FaultRule:
    """Return the rule that a JSON value describes.

    Raises:
        RejectionError: A field is wrong, missing, or not a field of this kind of fault.
    """
    if type(value) is not dict:
        raise RejectionError("", f"must be an object, not {shown(value)}")
    kind: Any = value.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise RejectionError("kind", f"must be one of {', '.join(_KINDS)}, not {shown(kind)}")
    _, own_fields, required = _KINDS[kind]  # type: ignore[index]
    fields = {**_COMMON, **own_fields}
    given = {name: _exact(part) for name, part in value.items() if name != "kind"}
    for name, part in given.items():
        if name not in fields:
            raise RejectionError(name, f"is not a field of {kind}; use {', '.join(fields)}")
        problem = fields[name].problem(part)
        if problem is not None:
            raise RejectionError(name, problem)
    for name in required:
        if name not in given:
            raise RejectionError(name, f"is missing; {kind} requires it")
    return FaultRule(kind=kind, **given)  # type: ignore[arg-type]


def rule_schemas() -> list[Schema]:
    """Return the JSON Schema of each kind of rule."""
    schemas = []
    for name, (description, own_fields, required) in _KINDS.items():
        fields = {"kind": Field({"const": name}, lambda _: None), **_COMMON, **own_fields}
        schema = object_schema(fields, ("kind", *required))
        schemas.append({**schema, "description": description})
    return schemas


def _exact(value: Any) -> Any:
    """Return 3 for 3.0, and other values unchanged: in JSON both are the same number."""
    if type(value) is float and abs(value) <= LARGEST_INTEGER and value.is_integer():
        return int(value)
    return value
