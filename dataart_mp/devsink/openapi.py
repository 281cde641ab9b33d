"""The sink's API as an OpenAPI document, for `/_sink/openapi.json`."""

from __future__ import annotations

from typing import Any, Final, get_type_hints

from dataart_mp.devsink.fault import LARGEST_INTEGER, LONGEST_SECONDS
from dataart_mp.devsink.query import DEFAULT_LIMIT, LARGEST_NUMBER, LONGEST_TEXT
from dataart_mp.devsink.stats import SinkStats

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_INTEGER: Final[Schema] = {"type": "integer"}
_NUMBER: Final[Schema] = {"type": "number"}
_BOOLEAN: Final[Schema] = {"type": "boolean"}
_KIND: Final[Schema] = {"enum": ["actions", "identities"]}
_NATURAL: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": LARGEST_NUMBER}

# Every day that there is, from year 1 on.
_YEAR: Final = "(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_LEAP_YEAR: Final = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][48]|[2468]0|[13579][26])00)"
_DAY: Final = (
    f"({_YEAR}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])"
    "|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
    f"|{_LEAP_YEAR}-02-29)"
)
_TIME: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
_OFFSET: Final = "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_MOMENT: Final = f"^{_DAY}T{_TIME}{_OFFSET}$"
_FRAMING: Final = ("content-length", "content-type", "transfer-encoding")


def document() -> Schema:
    """The whole of it."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The DataArt sink",
            "version": "1",
            "description": (
                "A local stand-in of the platform: what it takes, what a test may ask it, and how "
                "it is made to fail. The live page is at `/`."
            ),
        },
        "paths": {**_platform(), **_questions(), **_control()},
        "components": {
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}},
            "responses": _refusals(),
            "schemas": {**_items(), **_accounts(), **_rules()},
        },
    }


def _platform() -> Schema:
    return {
        "/events/send-actions": _post("Send a batch of events.", "Actions"),
        "/users/identify": _post("Say who a user is.", "Identity"),
    }


def _post(summary: str, body: str) -> Schema:
    idempotency_key = {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        "description": "The same when the same batch is sent again.",
    }
    answers = {status: _shared("Wrong") for status in ("400", "401", "403", "413", "415", "421")}
    operation = {
        "tags": ["The platform"],
        "summary": summary,
        "security": [{"key": []}],
        "parameters": [idempotency_key],
        "requestBody": _body(_ref(body)),
        "responses": {
            "200": _json(
                "Accepted. A fault makes it any other answer.", _object(accepted=_INTEGER)
            ),
            **answers,
        },
    }
    return {"post": operation}


def _questions() -> Schema:
    limit = _param("limit", {**_NATURAL, "default": DEFAULT_LIMIT}, "At most so many, the newest.")
    kind = _param("kind", _KIND, "Only items of this kind.")
    key = _param("key", _TEXT, "Only events of this key.")
    user = _param("user_key", _TEXT, "Only those of this user.")
    identifier = _param("id", _TEXT, "Only events with this in the id field of their metadata.")
    text = _param(
        "text",
        {"type": "string", "maxLength": LONGEST_TEXT},
        "Only those with this text in their keys or metadata, in capitals or not (of ASCII).",
    )
    items = [key, user, identifier, text, limit]
    pairs = {"type": "array", "minItems": 2, "maxItems": 2}
    return {
        "/_sink/stats": _get("The balance since the start or the last reset.", _ref("Stats")),
        "/_sink/events": _get_list("events", "The newest events that match.", "Action", items),
        "/_sink/identities": _get_list(
            "identities", "The newest identities that match.", "Identity", [user, text, limit]
        ),
        "/_sink/arrivals": _get_list(
            "arrivals",
            "The newest items that match, and what is known of their arrival.",
            "Arrival",
            [kind, *items],
        ),
        "/_sink/rejected": _get_list(
            "rejected", "The newest wrong requests: where and why.", "Request", [limit]
        ),
        "/_sink/requests": _get_list("requests", "The newest requests.", "Request", [limit]),
        "/_sink/ids": _get("How often each id arrived.", _object(ids=_array(pairs))),
        "/_sink/live": {
            "get": {
                "tags": ["What arrived"],
                "summary": "Server-sent events: `hello` with what there is, then `news`.",
                "parameters": [kind, *items],
                "responses": {
                    "200": {
                        "description": "A stream without an end.",
                        "content": {"text/event-stream": {"schema": _TEXT}},
                    },
                    **_refused(),
                },
            }
        },
        "/_sink/openapi.json": _get("This document.", {"type": "object"}),
    }


def _control() -> Schema:
    rules = _body({"anyOf": [_ref("Rule"), _array(_ref("Rule"))]})
    number = _param("number", _NATURAL, "Of the one rule.")
    return {
        "/_sink/reset": {"post": _change("Forget all counts, items and rules.", _object())},
        "/_sink/faults": {
            **_get("The rules in force.", _faults()),
            "put": _change(
                "Put these rules in force, and no others.", _faults(), requestBody=rules
            ),
            "post": _change("Put these rules in force, too.", _faults(), requestBody=rules),
            "delete": _change(
                "Put all rules, or one, out of force.", _faults(), parameters=[number]
            ),
        },
    }


def _refusals() -> Schema:
    return {
        "Wrong": _json("Where the request is wrong, and why.", _ref("Error")),
        "WrongHost": _json("The Host header is no name of this sink.", _ref("Error")),
        "WrongOrigin": _json("A page of another site may change nothing.", _ref("Error")),
    }


def _items() -> Schema:
    key = {"type": "string", "minLength": 1}
    metadata = {"type": ["object", "null"]}
    moment = {
        "type": "string",
        "pattern": _MOMENT,
        "description": "RFC 3339 with an offset, up to nanoseconds.",
    }
    return {
        "Action": _object(
            key=key,
            user_key=key,
            is_anonymous_user=_BOOLEAN,
            timestamp=moment,
            metadata=metadata,
        ),
        "Actions": _object(timestamp=moment, actions={**_array(_ref("Action")), "minItems": 1}),
        "Identity": _object(user_key=key, metadata=metadata),
        "Arrival": _object(
            kind=_KIND,
            number=_INTEGER,
            time=_NUMBER,
            request=_INTEGER,
            double={"enum": ["explained", "unexplained", None]},
            item={"anyOf": [_ref("Action"), _ref("Identity")]},
        ),
    }


def _accounts() -> Schema:
    counts = {"type": "object", "additionalProperties": _INTEGER}
    hints = get_type_hints(SinkStats)
    outcomes = ["accepted", "rejected", "faulted", "unfinished", None]
    return {
        "Error": _object(error=_TEXT, field=_TEXT),
        "Stats": _object(**{name: _INTEGER if of is int else counts for name, of in hints.items()}),
        "Request": _object(
            number=_INTEGER,
            time=_NUMBER,
            connection=_or_null("integer"),
            method=_TEXT,
            path=_TEXT,
            headers={"type": "object", "additionalProperties": _TEXT},
            bytes=_INTEGER,
            count=_INTEGER,
            idempotency_key=_or_null("string"),
            outcome={"enum": outcomes},
            status=_or_null("integer"),
            fault=_or_null("string"),
            field=_or_null("string"),
            error=_or_null("string"),
            seconds=_or_null("number"),
        ),
    }


def _rules() -> Schema:
    seconds = {"type": "number", "minimum": 0, "maximum": LONGEST_SECONDS}
    line = {"type": "string", "pattern": "^[ -~]*$"}
    answer: Schema = {
        "retry_after": {"anyOf": [{"type": "number", "minimum": 0}, line]},
        "headers": {
            "type": "object",
            "propertyNames": {
                "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
                "not": {"pattern": f"^({'|'.join(map(_in_any_case, _FRAMING))})$"},
            },
            "additionalProperties": line,
        },
    }
    status = {"type": "integer", "minimum": 200, "maximum": 599}
    refusal = {"type": "integer", "minimum": 400, "maximum": 499}
    over = {"type": "integer", "minimum": 0, "maximum": LARGEST_INTEGER}
    kinds = [
        _rule("latency", "Wait, then go on with the next rule.", "seconds", seconds=seconds),
        _rule("status", "Answer it; a 2xx accepts the items.", "status", status=status, **answer),
        _rule("hang", "Answer nothing, then close.", seconds=seconds, reset=_BOOLEAN),
        _rule("disconnect", "Close the connection without an answer.", reset=_BOOLEAN),
        _rule("ack_lost", "Accept the items, and close without an answer.", reset=_BOOLEAN),
        _rule("refuse", "Answer a 4xx if an item matches.", "match", status=refusal, **answer),
        _rule("refuse_bytes", "Answer 413 to a larger body.", "over", over=over, **answer),
    ]
    in_force = {
        "type": "object",
        "properties": {
            "number": _INTEGER,
            "kind": _TEXT,
            "fired": _INTEGER,
            "spent": _BOOLEAN,
        },
        "required": ["number", "kind", "fired", "spent"],
    }
    return {"Rule": {"oneOf": kinds}, "RuleInForce": in_force}


def _rule(kind: str, description: str, *required: str, **fields: Schema) -> Schema:
    properties = {
        "kind": {"const": kind},
        "path": _KIND,
        "match": {"type": "object", "minProperties": 1},
        "rate": {"type": "number", "minimum": 0, "maximum": 1},
        "seed": {"type": "integer", "minimum": -LARGEST_INTEGER, "maximum": LARGEST_INTEGER},
        "times": {"type": "integer", "minimum": 1, "maximum": LARGEST_INTEGER},
        "for_seconds": {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_SECONDS},
        **fields,
    }
    rule = _object(**properties)
    return {**rule, "required": ["kind", *required], "description": description}


def _faults() -> Schema:
    return _object(faults=_array(_ref("RuleInForce")))


def _get(summary: str, schema: Schema, parameters: list[Schema] | None = None) -> Schema:
    operation = {
        "tags": ["What arrived"],
        "summary": summary,
        "parameters": parameters or [],
        "responses": {"200": _json("The answer.", schema), **_refused()},
    }
    return {"get": operation}


def _get_list(name: str, summary: str, item: str, parameters: list[Schema]) -> Schema:
    return _get(f"{summary} Oldest first.", _object(**{name: _array(_ref(item))}), parameters)


def _change(summary: str, schema: Schema, **more: Any) -> Schema:
    answers = {"403": _shared("WrongOrigin"), **_refused()}
    if "requestBody" in more:
        answers["413"] = _shared("Wrong")
    if "parameters" in more:
        answers["404"] = _shared("Wrong")
    return {
        "tags": ["What goes wrong"],
        "summary": summary,
        "responses": {"200": _json("Done.", schema), **answers},
        **more,
    }


def _refused() -> Schema:
    return {"400": _shared("Wrong"), "421": _shared("WrongHost")}


def _param(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _body(schema: Schema) -> Schema:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _json(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _object(**properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _or_null(name: str) -> Schema:
    return {"type": [name, "null"]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _shared(name: str) -> Schema:
    return {"$ref": f"#/components/responses/{name}"}


def _in_any_case(word: str) -> str:
    """A regular expression for a word, in capitals or not: JSON Schema has no flag for that."""
    return "".join(f"[{sign.upper()}{sign}]" if sign.isalpha() else sign for sign in word)
