"""`AsyncRecordingClient` records what an `AsyncClient` would send, and refuses what it refuses."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dataart_mp import AsyncDataArtClient, ClientConfig, ClosedError, EventError
from dataart_mp.aio import AsyncClient
from dataart_mp.testing import AsyncRecordingClient


def test_both_clients_are_async_data_art_clients() -> None:
    clients: list[AsyncDataArtClient] = [AsyncRecordingClient(), AsyncClient(ClientConfig("key"))]
    assert all(isinstance(client, AsyncDataArtClient) for client in clients)


def test_marks_count_what_hooks_drop_and_progress_is_reported_as_by_the_real_client() -> None:
    def drop_secrets(event: dict[str, Any]) -> dict[str, Any] | None:
        return None if event["user_key"] == "secret" else event

    async def stream() -> AsyncIterator[dict[str, Any]]:
        for user in ("ann", "secret", "bob"):
            yield {"key": "play", "user_key": user}
        raise ValueError("broken")

    async def main() -> None:
        client = AsyncRecordingClient(ClientConfig("key", before_send=drop_secrets))
        seen: list[int] = []
        with pytest.raises(ValueError, match="broken"):
            await client.emit_actions(stream(), progress=seen.append)
        assert seen[-1] == 3
        mark = client.mark()
        assert not await client.emit_action("play", "secret")
        assert ((await mark).dropped, (await client.mark()).dropped) == (1, 2)
        assert client.recorded.mark().outcome().dropped == 2
        assert await client.emit_actions([{"key": "a", "user_key": "b"}], progress=seen.append) == (
            1,
            0,
        )
        assert seen[-1] == 1
        assert [action.user_key for action in client.actions] == ["ann", "bob", "b"]

    asyncio.run(main())


def test_a_table_is_recorded() -> None:
    pyarrow = pytest.importorskip("pyarrow")

    async def main() -> None:
        client = AsyncRecordingClient()
        table = pyarrow.table({"key": ["play"], "user_key": ["ann"], "song": [7]})
        seen: list[int] = []
        assert await client.emit_table(table, progress=seen.append) == (1, 0)
        assert (seen, client.actions[0].metadata) == ([1], {"song": 7})

    asyncio.run(main())


def test_events_are_recorded_and_invalid_ones_refused() -> None:
    async def stream() -> AsyncIterator[dict[str, Any]]:
        yield {"key": "stop", "user_key": "ann"}

    async def main() -> None:
        async with AsyncRecordingClient() as client:
            assert await client.emit_action("play", "ann")
            assert await client.emit_actions(stream()) == (1, 0)
            assert await client.emit_actions([{"key": "stop", "user_key": "bob"}]) == (1, 0)
            assert await client.identify("ann")
            with pytest.raises(EventError):
                await client.emit_action("", "ann")
            assert (await client.mark()).lost == 0
            assert await client.mark().settled(1) == await client.flush() == 0
        assert [action.key for action in client.actions] == ["play", "stop", "stop"]
        assert [identity.user_key for identity in client.identities] == ["ann"]
        assert client.stats().delivered == 4
        assert repr(client) == "<AsyncRecordingClient closed | actions 3 | identities 1>"
        with pytest.raises(ClosedError):
            await client.emit_action("late", "ann")

    asyncio.run(main())
