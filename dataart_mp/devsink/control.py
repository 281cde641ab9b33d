"""The sink's own API, `/_sink/…`: what arrived, and what should go wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route

from dataart_mp.devsink.assets import files
from dataart_mp.devsink.body import read_body
from dataart_mp.devsink.fault import rule_of
from dataart_mp.devsink.openapi import document
from dataart_mp.devsink.query import (
    DEFAULT_LIMIT,
    Query,
    check_names,
    kind_of,
    limit_of,
    number_of,
    text_of,
)
from dataart_mp.devsink.rejection import RejectionError, shown
from dataart_mp.devsink.stream import stream

if TYPE_CHECKING:
    from starlette.requests import Request

    from dataart_mp.devsink.fault import FaultRule
    from dataart_mp.devsink.head import Kind
    from dataart_mp.devsink.sink import Sink

_MAX_RULES_BYTES: Final = 1024 * 1024
_SHOWN_AT_FIRST: Final = 200
_FILTERS: Final = {
    "events": ("key", "user_key", "id", "text"),
    "identities": ("user_key", "text"),
    "arrivals": ("kind", "key", "user_key", "id", "text"),
}


def control_app(sink: Sink) -> Starlette:
    """The application to mount at `/_sink`."""
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
        exception_handlers={RejectionError: _refuse, HTTPException: _refuse},
    )


class _Control:
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    async def stats(self, request: Request) -> Response:
        check_names(request.query_params, ())
        return _json(self._sink.ledger.stats())

    async def events(self, request: Request) -> Response:
        return await self._items(request, "events", "actions")

    async def identities(self, request: Request) -> Response:
        return await self._items(request, "identities", "identities")

    async def arrivals(self, request: Request) -> Response:
        check_names(request.query_params, (*_FILTERS["arrivals"], "limit"))
        found = await self._sink.store.arrivals(self._query(request, kind_of(request.query_params)))
        return _list("arrivals", [arrival.as_json() for arrival in found])

    async def live(self, request: Request) -> Response:
        params = request.query_params
        check_names(params, (*_FILTERS["arrivals"], "limit"))
        query = self._query(request, kind_of(params), limit=_SHOWN_AT_FIRST)
        return StreamingResponse(stream(self._sink, query), media_type="text/event-stream")

    async def ids(self, request: Request) -> Response:
        check_names(request.query_params, ())
        # Pairs, since an object would turn the id 7 into the id "7".
        return _json({"ids": list(self._sink.ledger.ids.items())})

    async def requests(self, request: Request) -> Response:
        limit = _limit(request)
        ended = await self._sink.store.requests(limit)
        # Looked at only now: what ended meanwhile is among the former or, at worst, in neither.
        open_ones = [visit.as_json() for visit in self._sink.ledger.in_flight.values()]
        visits = sorted((*ended, *open_ones), key=lambda visit: visit["number"])
        newest = visits[max(0, len(visits) - limit) :]
        return _json({"requests": newest})

    async def rejected(self, request: Request) -> Response:
        return _json({"rejected": await self._sink.store.rejected(_limit(request))})

    async def reset(self, request: Request) -> Response:
        check_names(request.query_params, ())
        await self._sink.reset()
        return _json({})

    async def faults(self, request: Request) -> Response:
        # Only of a rule to be removed a number is asked for.
        check_names(request.query_params, ("number",) if request.method == "DELETE" else ())
        faults = self._sink.faults
        match request.method:
            case "PUT":
                faults.replace(await _rules(request))
            case "POST":
                faults.add(await _rules(request))
            case "DELETE" if "number" in request.query_params:
                number = number_of(request.query_params, "number")
                if not faults.remove(number):
                    raise RejectionError("query number", f"no rule has number {number}", 404)
            case "DELETE":
                faults.replace([])
        self._sink.live.touch()
        return _json({"faults": faults.as_json()})

    async def openapi(self, request: Request) -> Response:
        check_names(request.query_params, ())
        return _json(document())

    async def _items(self, request: Request, name: str, kind: Kind) -> Response:
        check_names(request.query_params, (*_FILTERS[name], "limit"))
        found = await self._sink.store.arrivals(self._query(request, kind))
        return _list(name, [arrival.item for arrival in found])

    def _query(self, request: Request, kind: Kind | None, limit: int = DEFAULT_LIMIT) -> Query:
        params = request.query_params
        return Query(
            kind=kind,
            key=params.get("key"),
            user_key=params.get("user_key"),
            identifier=params.get("id"),
            text=text_of(params),
            id_field=self._sink.settings.id_field,
            limit=limit_of(params, limit),
        )


async def _rules(request: Request) -> list[FaultRule]:
    body = await read_body(request.receive, None, _MAX_RULES_BYTES)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RejectionError("body", f"is not JSON: {error}") from None
    rules = value if type(value) is list else [value]
    return [_rule(one, index) for index, one in enumerate(rules)]


def _rule(value: object, index: int) -> FaultRule:
    try:
        return rule_of(value)
    except RejectionError as error:
        raise error.within(f"faults[{index}]") from None


def _limit(request: Request) -> int:
    check_names(request.query_params, ("limit",))
    return limit_of(request.query_params)


def _json(content: Any) -> Response:
    return _raw_json(orjson.dumps(content))


def _list(name: str, items: list[bytes]) -> Response:
    # The items are JSON already.
    return _raw_json(b'{"%b":[%b]}' % (name.encode(), b",".join(items)))


def _raw_json(content: bytes) -> Response:
    return Response(content, media_type="application/json")


async def _refuse(request: Request, error: Exception) -> Response:
    headers = None
    if isinstance(error, HTTPException):
        where = "path" if error.status_code == 404 else "method"
        headers = error.headers
        error = RejectionError(
            where, f"{shown(request.url.path)}: {error.detail}", error.status_code
        )
    if not isinstance(error, RejectionError):
        raise error
    content = orjson.dumps({"error": str(error), "field": error.field})
    return Response(content, error.status, headers, "application/json")
