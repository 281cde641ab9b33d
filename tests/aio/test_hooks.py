"""Hooks apply to the asyncio client, also to calls that wait for the client or for room."""

import asyncio

from dataart_mp import Client, context
from dataart_mp.aio import AsyncClient
from dataart_mp.config.hooks import Event
from dataart_mp.devsink.process import SinkProcess
from tests.aio.conftest import Run
from tests.client.tools import TINY
from tests.support import Configure


def scrub(event: Event) -> Event | None:
    if event.get("key") == "internal":
        return None
    event["metadata"].pop("email", None)
    return event


def test_hooks_apply_to_each_kind_of_call(run: Run, config: Configure, sink: SinkProcess) -> None:
    async def main() -> None:
        client = AsyncClient(config(before_send=scrub, sample_rate={"never": 0}))
        assert not await client.emit_action("internal", "ann"), "before it is open"
        assert await client.emit_action("first", "ann", metadata={"email": "x"})
        with context.bind(request="r1"):
            assert await client.emit_action("second", "ann", metadata={"email": "x"})
        assert not await client.emit_action("never", "ann")
        emitted = await client.emit_actions(
            {"key": key, "user_key": "ann", "metadata": {"email": "x", "song": 7}}
            for key in ("third", "internal", "never")
        )
        assert emitted == (3, 2)
        assert await client.identify("ann", {"email": "x", "plan": "free"})
        assert await client.flush(20) == 0
        assert client.stats().dropped == {"before_send": 2, "sampled": 2}
        assert client.stats().balanced
        await client.aclose()

    run(main())
    assert {event["key"]: event["metadata"] for event in sink.events()} == {
        "first": {},
        "second": {"request": "r1"},
        "third": {"song": 7},
    }
    assert [identity["metadata"] for identity in sink.identities()] == [{"plan": "free"}]


def test_hooks_apply_to_calls_that_wait_for_room(
    run: Run, config: Configure, hanging: SinkProcess
) -> None:
    async def main() -> None:
        async with AsyncClient(config(before_send=scrub, **TINY)) as client:
            calls = [
                asyncio.create_task(
                    client.emit_action("play", "ann", metadata={"email": "x", "_id": number})
                )
                for number in range(20)
            ]
            dropped = asyncio.create_task(client.emit_action("internal", "ann"))
            await asyncio.sleep(0.2)
            assert not all(call.done() for call in calls)
            hanging.clear_faults()
            assert all(await asyncio.gather(*calls))
            assert not await dropped
            assert await client.flush(20) == 0
            assert client.stats().dropped == {"before_send": 1}

    run(main())
    assert hanging.ids() == dict.fromkeys(range(20), 1)
    assert all("email" not in event["metadata"] for event in hanging.events())


def test_a_mark_says_how_many_events_hooks_have_dropped(
    config: Configure, sink: SinkProcess
) -> None:
    with Client(config(before_send=scrub, sample_rate={"never": 0})) as client:
        for key in ("play", "internal", "never"):
            client.emit_action(key, "ann")
        mark = client.mark()
        client.emit_action("internal", "ann")
        assert mark.wait(20) == 0
        assert mark.outcome().dropped == 2
