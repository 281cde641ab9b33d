"""The platform's two endpoints: from a request to a decision about it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dataart_mp.devsink.http import response
from dataart_mp.devsink.http.body import ClientGoneError, decode_body, peek_body, read_body
from dataart_mp.devsink.http.rejection import RejectionError
from dataart_mp.devsink.http.uvicorn_seam import connection_of
from dataart_mp.devsink.protocol.head import check_head
from dataart_mp.devsink.protocol.payload import parse_payload

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import Receive, Scope, Send

    from dataart_mp.devsink.counters.counters import Counters
    from dataart_mp.devsink.counters.logged_request import LoggedRequest
    from dataart_mp.devsink.faults.rule import FaultRule
    from dataart_mp.devsink.protocol.payload import Payload
    from dataart_mp.devsink.sink import Sink


class Ingest:
    """The ASGI application for every request that is not for the control API or the page."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Decide about a request, count it, then respond."""
        connection = connection_of(scope)
        # A reset replaces the counters; a request in flight is still counted in the old ones.
        counters = self._sink.counters
        logged = counters.begin(connection.number, scope["method"], scope["path"], scope["headers"])
        try:
            payload = await self._payload(logged, scope, receive)
        except ClientGoneError:
            self._sink.end(counters, logged, "unfinished", None)
            return
        except RejectionError as error:
            self._sink.reject(counters, logged, error)
            await response.rejected(error).send(send)
            return
        await self._sink.store.wait_for_room()
        rule = await self._decide(counters, logged, payload, receive)
        if logged.status is None:
            connection.close(reset=rule is not None and rule.reset)
        elif rule is None:
            await response.accepted(logged.count).send(send)
        else:
            await rule.response(logged.status).send(send)

    async def _payload(self, logged: LoggedRequest, scope: Scope, receive: Receive) -> Payload:
        settings = self._sink.settings
        try:
            head = check_head(
                logged.method,
                logged.path,
                scope["query_string"],
                logged.headers,
                settings.api_key,
                self._sink.guard,
            )
        except RejectionError:
            logged.body = await peek_body(receive, logged.headers)
            logged.size = len(logged.body)
            raise
        logged.idempotency_key = head.idempotency_key
        body = await read_body(receive, head.length, settings.max_body_bytes)
        logged.size = len(body)
        content = body
        try:
            content = decode_body(body, head.encoding, settings.max_body_bytes)
            payload = parse_payload(head.kind, content, head.idempotency_key)
        except RejectionError:
            logged.body = content
            raise
        logged.count = len(payload.items)
        return payload

    async def _decide(
        self, counters: Counters, logged: LoggedRequest, payload: Payload, receive: Receive
    ) -> FaultRule | None:
        """Apply the fault rules to a valid request; return the rule that decided, if any."""
        faults = self._sink.faults
        changed = faults.changed
        plan = faults.plan(payload, logged.size)
        rule = plan.rule
        logged.fault = rule.kind if rule else None
        if plan.latency:
            # Not a plain sleep: a sink that stops closes all connections, which must end this wait.
            await _first_of(receive(), within=plan.latency)
        if rule is not None and rule.kind == "hang":
            await _first_of(receive(), changed.wait(), within=rule.seconds)
        status = 200 if rule is None else rule.response_status
        if rule is None or rule.accepts:
            self._sink.accept(counters, logged, payload, status)
        else:
            self._sink.end(counters, logged, "faulted", status)
        return rule


async def _first_of(*events: Awaitable[object], within: float | None) -> None:
    """Wait until one of the events happens, such as a disconnect, or the time is over."""
    waits = [asyncio.ensure_future(event) for event in events]
    await asyncio.wait(waits, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
