"""The client for asyncio.

    async with AsyncClient(ClientConfig("key")) as client:
        await client.emit_action("play", "ann", metadata={"song": "Blue"})

    client ─► eager_client ─► the same queue and workers as those of `Client`
       └─ no room ─► waiters ─► woken by the queue's wakeup pipe

Read `client`, then `eager_client` and `waiters`. `bulk` and `turn` are for calls that emit many
events.
"""

from dataart_mp.aio.client import AsyncClient
from dataart_mp.aio.mark import AsyncMark

__all__ = ["AsyncClient", "AsyncMark"]
