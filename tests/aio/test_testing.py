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
