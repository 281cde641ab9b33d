"""The platform's two paths: from a request to a decision about it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dataart_mp.devsink import answer
from dataart_mp.devsink.body import ClientGoneError, decode_body, read_body
from dataart_mp.devsink.connection import line_of
from dataart_mp.devsink.head import check_head
from dataart_mp.devsink.parcel import open_parcel
from dataart_mp.devsink.rejection import RejectionError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import Receive, Scope, Send

    from dataart_mp.devsink.fault import FaultRule
    from dataart_mp.devsink.ledger import Ledger
    from dataart_mp.devsink.parcel import Parcel
    from dataart_mp.devsink.sink import Sink
    from dataart_mp.devsink.visit import Visit


class Ingest:
    """An ASGI application that takes whatever is not for `/_sink`."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Decide about a request, write the decision down, then answer."""
        line = line_of(scope)
        # The book of this request, even if a reset opens another one while it is in flight.
        ledger = self._sink.ledger
        visit = ledger.arrive(line.number, scope["method"], scope["path"], scope["headers"])
        try:
            parcel = await self._parcel(visit, scope, receive)
        except ClientGoneError:
            self._sink.end(ledger, visit, "unfinished", None)
            return
        except RejectionError as error:
            self._sink.reject(ledger, visit, error)
            await answer.rejection(error).send(send)
            return
        await self._sink.store.room()
        rule = await self._settle(ledger, visit, parcel, receive)
        if visit.status is None:
            line.cut(reset=rule is not None and rule.reset)
        elif rule is None:
            await answer.acceptance(visit.count).send(send)
        else:
            await answer.faulted(rule, visit.status).send(send)

    async def _parcel(self, visit: Visit, scope: Scope, receive: Receive) -> Parcel:
        settings = self._sink.settings
        head = check_head(
            visit.method,
            visit.path,
            scope["query_string"],
            visit.headers,
            settings.api_key,
            self._sink.guard,
        )
        visit.idempotency_key = head.idempotency_key
        body = await read_body(receive, head.length, settings.max_body_bytes)
        visit.size = len(body)
        content = decode_body(body, head.encoding, settings.max_body_bytes)
        parcel = open_parcel(head.kind, content, head.idempotency_key)
        visit.count = len(parcel.items)
        return parcel

    async def _settle(
        self, ledger: Ledger, visit: Visit, parcel: Parcel, receive: Receive
    ) -> FaultRule | None:
        """Do to a right request what the rules say; return the one that decided."""
        faults = self._sink.faults
        changed = faults.changed
        plan = faults.plan(parcel, visit.size)
        rule = plan.rule
        visit.fault = rule.kind if rule else None
        if plan.latency:
            # Not a mere sleep: a stopping sink cuts all connections, and waits for no request.
            await _first_of(receive(), within=plan.latency)
        if rule is not None and rule.kind == "hang":
            await _first_of(receive(), changed.wait(), within=rule.seconds)
        status = 200 if rule is None else rule.answer_status
        if rule is None or rule.accepts:
            self._sink.accept(ledger, visit, parcel, status)
        else:
            self._sink.end(ledger, visit, "faulted", status)
        return rule


async def _first_of(*events: Awaitable[object], within: float | None) -> None:
    """Wait until one of these happens, such as that the client leaves, or the time is over."""
    waits = [asyncio.ensure_future(event) for event in events]
    await asyncio.wait(waits, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
