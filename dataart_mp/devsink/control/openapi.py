"""The OpenAPI document of the sink, for `/_sink/openapi.json`.

The schemas of items, fault rules and query parameters are declared beside their checks, in
protocol/shape.py, faults/rule.py and control/parameters.py; those of responses are declared here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_type_hints

from dataart_mp.devsink.control.parameters import (
    ARRIVAL_PARAMETERS,
    EVENT_PARAMETERS,
    IDENTITY_PARAMETERS,
    PARAMETERS,
    REJECTED_PARAMETERS,
)
from dataart_mp.devsink.faults.rule import rule_schemas
from dataart_mp.devsink.protocol.shape import SCHEMAS
from dataart_mp.devsink.stats import SinkStats

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dataart_mp.devsink.protocol.field import Schema

_TEXT: Final[Schema] = {"type": "string"}
_INTEGER: Final[Schema] = {"type": "integer"}
_NUMBER: Final[Schema] = {"type": "number"}
_BOOLEAN: Final[Schema] = {"type": "boolean"}


def document() -> Schema:
    """Return the whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The DataArt sink",
            "version": "1",
            "description": (
                "A local stand-in of the platform: the platform's endpoints, queries for tests, "
                "and fault injection. The live page is at `/`."
            ),
        },
        "paths": {**_platform(), **_queries(), **_changes()},
        "components": {
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}},
            "responses": _errors(),
            "schemas": {**SCHEMAS, **_results(), "Rule": {"oneOf": rule_schemas()}},
        },
    }


def _platform() -> Schema:
    return {
        "/events/send-actions": _post("Send a batch of events.", "Actions"),
        "/users/identify": _post("Send the attributes of a user.", "Identity"),
    }


def _post(summary: str, body: str) -> Schema:
    idempotency_key = {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        "description": "Identifies the batch: a retry repeats the key.",
    }
    errors = {status: _shared("Wrong") for status in ("400", "401", "403", "413", "415", "421")}
    accepted = _json("Accepted. A fault can cause any other response.", _object(accepted=_INTEGER))
    operation = {
        "tags": ["Platform"],
        "summary": summary,
        "security": [{"key": []}],
        "parameters": [idempotency_key],
        "requestBody": _body(_ref(body)),
        "responses": {"200": accepted, **errors},
    }
    return {"post": operation}


def _queries() -> Schema:
    pairs = {"type": "array", "minItems": 2, "maxItems": 2}
    return {
        "/_sink/stats": _get("Counts since the start or the last reset.", _ref("Stats")),
        "/_sink/events": _get_list(
            "events", "The newest events that match.", "Action", EVENT_PARAMETERS
        ),
        "/_sink/identities": _get_list(
            "identities", "The newest identities that match.", "Identity", IDENTITY_PARAMETERS
        ),
        "/_sink/arrivals": _get_list(
            "arrivals",
            "The newest items that match, and how they arrived.",
            "Arrival",
            ARRIVAL_PARAMETERS,
        ),
        "/_sink/rejected": _get_list(
            "rejected", "The newest wrong requests.", "RejectedRequest", REJECTED_PARAMETERS
        ),
        "/_sink/requests": _get_list("requests", "The newest requests.", "Request", ["limit"]),
        "/_sink/ids": _get("How often each id arrived.", _object(ids=_array(pairs))),
        "/_sink/live": {
            "get": {
                "tags": ["Queries"],
                "summary": "Server-sent events: one `snapshot`, then `update` events.",
                "parameters": _params(ARRIVAL_PARAMETERS),
                "responses": {
                    "200": {
                        "description": "A stream that does not end.",
                        "content": {"text/event-stream": {"schema": _TEXT}},
                    },
                    **_common_errors(),
                },
            }
        },
        "/_sink/openapi.json": _get("This document.", {"type": "object"}),
    }


def _changes() -> Schema:
    rules = _body({"anyOf": [_ref("Rule"), _array(_ref("Rule"))]})
    faults = _object(faults=_array(_ref("RuleInForce")))
    return {
        "/_sink/reset": {"post": _change("Delete all counts, items and fault rules.", _object())},
        "/_sink/faults": {
            **_get("The fault rules in force.", faults),
            "put": _change("Replace all fault rules.", faults, requestBody=rules),
            "post": _change("Add fault rules.", faults, requestBody=rules),
            "delete": _change(
                "Remove all fault rules, or one.", faults, parameters=_params(["number"])
            ),
        },
    }


def _errors() -> Schema:
    return {
        "Wrong": _json("What is wrong with the request.", _ref("Error")),
        "WrongHost": _json("The Host header is not a name of this sink.", _ref("Error")),
        "TooLarge": _json("The URL or the headers are too large.", _ref("Error")),
        "WrongOrigin": _json("A page of another site may not change anything.", _ref("Error")),
    }


def _results() -> Schema:
    counts = {"type": "object", "additionalProperties": _INTEGER}
    hints = get_type_hints(SinkStats)
    problems = _array(_object(field=_TEXT, problem=_TEXT))
    request = {
        "number": _INTEGER,
        "time": _NUMBER,
        "connection": _or_null("integer"),
        "method": _TEXT,
        "path": _TEXT,
        "headers": {"type": "object", "additionalProperties": _TEXT},
        "bytes": _INTEGER,
        "count": _INTEGER,
        "idempotency_key": _or_null("string"),
        "outcome": {"enum": ["accepted", "rejected", "faulted", "unfinished", None]},
        "status": _or_null("integer"),
        "fault": _or_null("string"),
        "field": _or_null("string"),
        "error": _or_null("string"),
        "errors": problems,
        "more_errors": _INTEGER,
        "seconds": _or_null("number"),
    }
    rule_in_force = _object(number=_INTEGER, kind=_TEXT, fired=_INTEGER, spent=_BOOLEAN)
    return {
        "Error": _object(error=_TEXT, field=_TEXT, errors=problems, more_errors=_INTEGER),
        "Stats": _object(**{name: _INTEGER if of is int else counts for name, of in hints.items()}),
        "Arrival": _object(
            kind=PARAMETERS["kind"].schema,
            number=_INTEGER,
            time=_NUMBER,
            request=_INTEGER,
            duplicate={"enum": ["explained", "unexplained", None]},
            item={"anyOf": [_ref("Action"), _ref("Identity")]},
        ),
        "Request": _object(**request),
        "RejectedRequest": _object(**request, body=_or_null("string")),
        # It also has the fields of the rule.
        "RuleInForce": {**rule_in_force, "additionalProperties": True},
    }


def _get(summary: str, schema: Schema, parameters: Iterable[str] = ()) -> Schema:
    operation = {
        "tags": ["Queries"],
        "summary": summary,
        "parameters": _params(parameters),
        "responses": {"200": _json("The result.", schema), **_common_errors()},
    }
    return {"get": operation}


def _get_list(name: str, summary: str, item: str, parameters: Iterable[str]) -> Schema:
    return _get(f"{summary} Oldest first.", _object(**{name: _array(_ref(item))}), parameters)


def _change(summary: str, schema: Schema, **more: Any) -> Schema:
    errors = {"403": _shared("WrongOrigin"), **_common_errors()}
    if "requestBody" in more:
        errors["413"] = _shared("Wrong")
    if "parameters" in more:
        errors["404"] = _shared("Wrong")
    return {
        "tags": ["Changes"],
        "summary": summary,
        "responses": {"200": _json("Done.", schema), **errors},
        **more,
    }


def _common_errors() -> Schema:
    return {
        "400": _shared("Wrong"),
        "414": _shared("TooLarge"),
        "421": _shared("WrongHost"),
        "431": _shared("TooLarge"),
    }


def _params(names: Iterable[str]) -> list[Schema]:
    return [
        {
            "name": name,
            "in": "query",
            "schema": PARAMETERS[name].schema,
            "description": PARAMETERS[name].description,
        }
        for name in names
    ]


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
