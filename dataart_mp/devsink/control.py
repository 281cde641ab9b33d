"""The sink's own API, `/_sink/…`: what arrived, and what should go wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from dataart_mp.devsink.body import read_body
from dataart_mp.devsink.fault import rule_of
from dataart_mp.devsink.query import Query, check_names, limit_of
from dataart_mp.devsink.rejection import RejectionError

if TYPE_CHECKING:
    from collections import deque

    from starlette.requests import Request

    from dataart_mp.devsink.fault import FaultRule
    from dataart_mp.devsink.shelf import Shelf
    from dataart_mp.devsink.sink import Sink
    from dataart_mp.devsink.visit import Visit

_MAX_RULES_BYTES: Final = 1024 * 1024


def control_app(sink: Sink) -> Starlette:
    """The application to mount at `/_sink`."""
    control = _Control(sink)
    return Starlette(
        routes=[
            Route("/stats", control.stats),
            Route("/events", control.events),
            Route("/identities", control.identities),
            Route("/ids", control.ids),
            Route("/requests", control.requests),
            Route("/rejected", control.rejected),
            Route("/reset", control.reset, methods=["POST"]),
            Route("/faults", control.faults, methods=["GET", "PUT", "POST", "DELETE"]),
        ],
        exception_handlers={RejectionError: _refuse},
    )


class _Control:
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    async def stats(self, request: Request) -> Response:
        check_names(request.query_params, ())
        return _json(self._sink.ledger.stats())

    async def events(self, request: Request) -> Response:
        return self._items(request, "events", self._sink.ledger.kept("actions"))

    async def identities(self, request: Request) -> Response:
        return self._items(request, "identities", self._sink.ledger.kept("identities"))

    async def ids(self, request: Request) -> Response:
        check_names(request.query_params, ())
        # Pairs, since an object would turn the id 7 into the id "7".
        return _json({"ids": list(self._sink.ledger.ids.items())})

    async def requests(self, request: Request) -> Response:
        return _visits(request, "requests", self._sink.ledger.visits)

    async def rejected(self, request: Request) -> Response:
        return _visits(request, "rejected", self._sink.ledger.rejected)

    async def reset(self, request: Request) -> Response:
        check_names(request.query_params, ())
        self._sink.reset()
        return _json({})

    async def faults(self, request: Request) -> Response:
        check_names(request.query_params, ())
        faults = self._sink.faults
        match request.method:
            case "PUT":
                faults.replace(await _rules(request))
            case "POST":
                faults.add(await _rules(request))
            case "DELETE":
                faults.replace([])
        return _json({"faults": faults.as_json()})

    def _items(self, request: Request, name: str, kept: Shelf) -> Response:
        params = request.query_params
        fields = ("key", "user_key") if name == "events" else ("user_key",)
        check_names(params, (*fields, "id", "limit"))
        query = Query(
            fields={field: params[field] for field in fields if field in params},
            identifier=params.get("id"),
            id_field=self._sink.settings.id_field,
            limit=limit_of(params),
        )
        # The items are JSON already.
        return _raw_json(b'{"%b":[%b]}' % (name.encode(), b",".join(query.select(kept))))


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


def _visits(request: Request, name: str, visits: deque[Visit]) -> Response:
    check_names(request.query_params, ("limit",))
    limit = limit_of(request.query_params)
    newest = list(visits)[max(0, len(visits) - limit) :]
    return _json({name: [visit.as_json() for visit in newest]})


def _json(content: Any) -> Response:
    return _raw_json(orjson.dumps(content))


def _raw_json(content: bytes) -> Response:
    return Response(content, media_type="application/json")


async def _refuse(_request: Request, error: Exception) -> Response:
    content = orjson.dumps({"error": str(error)})
    status = error.status if isinstance(error, RejectionError) else 500
    return Response(content, status_code=status, media_type="application/json")
