"""What can be made to go wrong: one rule, and how it is written as JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

from dataart_mp.devsink.rejection import RejectionError, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dataart_mp.devsink.head import Kind

FaultKind = Literal["latency", "status", "hang", "disconnect", "ack_lost", "refuse", "refuse_bytes"]

_KINDS: Final = get_args(FaultKind)
# A day. Clocks of event loops do not take every number.
LONGEST_SECONDS: Final = 86_400
# What JSON of 64 bits can say.
LARGEST_INTEGER: Final = 2**63 - 1

_SUCCESS: Final = range(200, 300)
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_FRAMING: Final = frozenset({"content-length", "content-type", "transfer-encoding"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """When something goes wrong, and what.

    Kinds:
        latency: Wait `seconds`, then go on with the next rule.
        status: Answer `status`; a 2xx accepts the items.
        hang: Answer nothing for `seconds` (None: until the client leaves or the rules change),
            then close the connection; nothing is accepted.
        disconnect: Close the connection without an answer; nothing is accepted.
        ack_lost: Accept the items, then close the connection without an answer.
        refuse: Answer `status` (400 if none is given) to a request with an item that matches.
        refuse_bytes: Answer 413 to a body `over` so many bytes, as sent.

    Attributes:
        kind: What happens.
        path: Only to requests that carry this kind of item; None: to both.
        match: Only to requests with an item that has these fields, `{"key": "bad"}` or
            `{"metadata": {"plan": "free"}}`; None: to all.
        rate: With this probability.
        seed: Of the dice; None: another sequence each time.
        times: Only so often.
        for_seconds: Only so long after the rule was set.
        status: The answer's status.
        retry_after: The answer's Retry-After: seconds or an HTTP date.
        headers: Further headers of the answer, such as `location`.
        seconds: How long.
        over: Bytes.
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
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None
    over: int | None = None
    reset: bool = False

    @property
    def answer_status(self) -> int | None:
        """What is answered; None: nothing, the connection is closed."""
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
        return self.kind == "ack_lost" or self.answer_status in _SUCCESS


class _Expectation(NamedTuple):
    text: str
    holds: Callable[[Any], bool]


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


def _is_whole(value: Any) -> bool:
    return type(value) is int and value <= LARGEST_INTEGER


def _is_header_text(value: object) -> bool:
    return type(value) is str and value.isascii() and value.isprintable()


def _are_headers(value: object) -> bool:
    return type(value) is dict and all(
        _HEADER_NAME(name) and name.lower() not in _FRAMING and _is_header_text(text)
        for name, text in value.items()
    )


_COMMON: Final[Mapping[str, _Expectation]] = {
    "path": _Expectation('"actions" or "identities"', lambda v: v in ("actions", "identities")),
    "match": _Expectation("an object with fields", lambda v: type(v) is dict and bool(v)),
    "rate": _Expectation("a number from 0 to 1", lambda v: _is_number(v) and 0 <= v <= 1),
    "seed": _Expectation("an integer of 64 bits", lambda v: _is_whole(v) and v >= -LARGEST_INTEGER),
    "times": _Expectation("an integer of at least 1", lambda v: _is_whole(v) and v >= 1),
    "for_seconds": _Expectation(
        f"a number above 0 and of at most {LONGEST_SECONDS}",
        lambda v: _is_number(v) and 0 < v <= LONGEST_SECONDS,
    ),
}
_SECONDS: Final = _Expectation(
    f"a number from 0 to {LONGEST_SECONDS}", lambda v: _is_number(v) and 0 <= v <= LONGEST_SECONDS
)
_RESET: Final = _Expectation("true or false", lambda v: type(v) is bool)
_ANSWER: Final[Mapping[str, _Expectation]] = {
    "retry_after": _Expectation(
        "a number of at least 0 or an HTTP date",
        lambda v: (_is_number(v) and v >= 0) or _is_header_text(v),
    ),
    "headers": _Expectation(
        "an object of ASCII strings, without those that frame the body", _are_headers
    ),
}
_STATUS: Final = _Expectation("200 to 599", lambda v: _is_whole(v) and 200 <= v <= 599)
_REFUSAL: Final = _Expectation("400 to 499", lambda v: _is_whole(v) and 400 <= v <= 499)
_OVER: Final = _Expectation("an integer of at least 0", lambda v: _is_whole(v) and v >= 0)

_FIELDS: Final[Mapping[str, Mapping[str, _Expectation]]] = {
    "latency": {"seconds": _SECONDS},
    "status": {"status": _STATUS, **_ANSWER},
    "hang": {"seconds": _SECONDS, "reset": _RESET},
    "disconnect": {"reset": _RESET},
    "ack_lost": {"reset": _RESET},
    "refuse": {"status": _REFUSAL, **_ANSWER},
    "refuse_bytes": {"over": _OVER, **_ANSWER},
}
_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "latency": ("seconds",),
    "status": ("status",),
    "refuse": ("match",),
    "refuse_bytes": ("over",),
}


def rule_of(value: object) -> FaultRule:
    """Read a rule from its JSON.

    Raises:
        RejectionError: With the field that is wrong, unknown to its kind, or missing.
    """
    if type(value) is not dict:
        raise RejectionError("", f"must be an object, not {shown(value)}")
    kind: Any = value.get("kind")
    if kind not in _KINDS:
        raise RejectionError("kind", f"must be one of {', '.join(_KINDS)}, not {shown(kind)}")
    given = {name: _exact(wanted) for name, wanted in value.items() if name != "kind"}
    expectations = {**_COMMON, **_FIELDS[kind]}
    for name, wanted in given.items():
        if name not in expectations:
            raise RejectionError(name, f"is not a field of {kind}: {', '.join(expectations)}")
        if not expectations[name].holds(wanted):
            raise RejectionError(name, f"must be {expectations[name].text}, not {shown(wanted)}")
    for name in _REQUIRED.get(kind, ()):
        if name not in given:
            raise RejectionError(name, f"is missing: {kind} needs it")
    return FaultRule(kind=kind, **given)


def _exact(value: Any) -> Any:
    """The same, but 3.0 as 3: for JSON both are the same number."""
    if type(value) is float and abs(value) <= LARGEST_INTEGER and value.is_integer():
        return int(value)
    return value
