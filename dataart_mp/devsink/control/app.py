"""The application for `/_sink/…`: what arrived, and which faults to inject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route

from dataart_mp.devsink.control.openapi import document
from dataart_mp.devsink.control.parameters import (
    ARRIVAL_PARAMETERS,
    EVENT_PARAMETERS,
    IDENTITY_PARAMETERS,
    REJECTED_PARAMETERS,
    parse_query,
)
from dataart_mp.devsink.faults.rule import parse_rule
from dataart_mp.devsink.http.body import read_body
from dataart_mp.devsink.http.rejection import RejectionError, shown
from dataart_mp.devsink.page.assets import files
from dataart_mp.devsink.page.stream import stream
from dataart_mp.devsink.protocol.exact_json import dumps, loads
from dataart_mp.devsink.store.query import DEFAULT_LIMIT, Query

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.requests import Request

    from dataart_mp.devsink.faults.rule import FaultRule
    from dataart_mp.devsink.protocol.kind import Kind
    from dataart_mp.devsink.sink import Sink

_MAX_RULES_BYTES: Final = 1024 * 1024
_SNAPSHOT_LIMIT: Final = 200


def control_app(sink: Sink) -> Starlette:
    """Return the application to mount at `/_sink`."""
    control = _Control(sink)
    return Starlette(
        routes=[
            Route("/openapi.json", control.openapi),
            Route("/stats", control.stats),
            Route("/events", control.events),
            Route("/identities", control.identities),
            Route("/arrivals", control.arrivals),
            Route("/live", control.live),
            Route("/ids", control.ids),
            Route("/requests", control.requests),
            Route("/rejected", control.rejected),
            Route("/reset", control.reset, methods=["POST"]),
            Route("/faults", control.faults, methods=["GET", "PUT", "POST", "DELETE"]),
            Mount("/page", app=files()),
        ],
        exception_handlers={RejectionError: _reject, HTTPException: _reject},
    )


class _Control:
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    async def stats(self, request: Request) -> Response:
        parse_query(request.query_params)
        return _json(self._sink.counters.stats())

    async def events(self, request: Request) -> Response:
        query = self._query(request, EVENT_PARAMETERS, kind="actions")
        found = await self._sink.store.arrivals(query)
        return _list("events", [arrival.item for arrival in found])

    async def identities(self, request: Request) -> Response:
        query = self._query(request, IDENTITY_PARAMETERS, kind="identities")
        found = await self._sink.store.arrivals(query)
        return _list("identities", [arrival.item for arrival in found])

    async def arrivals(self, request: Request) -> Response:
        found = await self._sink.store.arrivals(self._query(request, ARRIVAL_PARAMETERS))
        return _list("arrivals", [arrival.as_json() for arrival in found])

    async def live(self, request: Request) -> Response:
        query = self._query(request, ARRIVAL_PARAMETERS, limit=_SNAPSHOT_LIMIT)
        return StreamingResponse(stream(self._sink, query), media_type="text/event-stream")

    async def ids(self, request: Request) -> Response:
        parse_query(request.query_params)
        # Pairs, because an object would turn the id 7 into the id "7".
        return _json({"ids": list(self._sink.counters.ids.items())})

    async def requests(self, request: Request) -> Response:
        limit = _limit(request)
        ended = await self._sink.store.requests(limit)
        # Read after the store: a request that ends in between may be missing, never duplicated.
        in_flight = [logged.as_json() for logged in self._sink.counters.in_flight.values()]
        requests = sorted((*ended, *in_flight), key=lambda entry: entry["number"])
        return _json({"requests": requests[max(0, len(requests) - limit) :]})

    async def rejected(self, request: Request) -> Response:
        given = parse_query(request.query_params, REJECTED_PARAMETERS)
        limit = given.get("limit", DEFAULT_LIMIT)
        return _json({"rejected": await self._sink.store.rejected(limit, given.get("request"))})

    async def reset(self, request: Request) -> Response:
        parse_query(request.query_params)
        await self._sink.reset()
        return _json({})

    async def faults(self, request: Request) -> Response:
        given = parse_query(request.query_params, ("number",) if request.method == "DELETE" else ())
        faults = self._sink.faults
        match request.method:
            case "PUT":
                faults.replace(await _rules(request))
            case "POST":
                faults.add(await _rules(request))
            case "DELETE" if "number" in given:
                if not faults.remove(given["number"]):
                    problem = f"there is no rule with number {given['number']}"
                    raise RejectionError("query number", problem, 404)
            case "DELETE":
                faults.replace([])
        self._sink.viewers.refresh()
        return _json({"faults": faults.as_json()})

    async def openapi(self, request: Request) -> Response:
        parse_query(request.query_params)
        return _json(document())

    def _query(
        self,
        request: Request,
        names: Collection[str],
        kind: Kind | None = None,
        limit: int = DEFAULT_LIMIT,
    ) -> Query:
        given = parse_query(request.query_params, names)
        return Query(
            kind=given.get("kind", kind),
            key=given.get("key"),
            user_key=given.get("user_key"),
            identifier=given.get("id"),
            text=given.get("text", "").strip() or None,  # an empty text does not filter
            duplicate=given.get("duplicate"),
            id_field=self._sink.settings.id_field,
            limit=given.get("limit", limit),
        )


async def _rules(request: Request) -> list[FaultRule]:
    body = await read_body(request.receive, None, _MAX_RULES_BYTES)
    try:
        value = loads(body)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise RejectionError("body", f"is not JSON: {error}") from None
    rules = value if type(value) is list else [value]
    return [_rule(one, index) for index, one in enumerate(rules)]


def _rule(value: object, index: int) -> FaultRule:
    try:
        return parse_rule(value)
    except RejectionError as error:
        raise error.within(f"faults[{index}]") from None


def _limit(request: Request) -> int:
    limit: int = parse_query(request.query_params, ("limit",)).get("limit", DEFAULT_LIMIT)
    return limit


def _json(content: Any) -> Response:
    return _raw_json(dumps(content))


def _list(name: str, items: list[bytes]) -> Response:
    # The items are already JSON.
    return _raw_json(b'{"%b":[%b]}' % (name.encode(), b",".join(items)))


def _raw_json(content: bytes) -> Response:
    return Response(content, media_type="application/json")


async def _reject(request: Request, error: Exception) -> Response:
    headers = None
    if isinstance(error, HTTPException):
        where = "path" if error.status_code == 404 else "method"
        headers = error.headers
        error = RejectionError(
            where, f"{shown(request.url.path)}: {error.detail}", error.status_code
        )
    if not isinstance(error, RejectionError):
        raise error
    content = orjson.dumps(error.as_json())
    return Response(content, error.status, headers, "application/json")
