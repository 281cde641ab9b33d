"""FastAPI with a lifespan: `uvicorn --workers 2 fastapi_app:app`.

With `overflow="drop"`, a call never waits, so it never blocks the event loop. Closing waits for the
delivery and therefore runs in a thread; what is not delivered in time is delivered by the worker
processes of the client, which outlive the server.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request

from dataart_mp import Client, ClientConfig, DataArtClient


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Create a client when the server starts, and close it when the server ends."""
    client = app.state.dataart = Client(ClientConfig.from_env(overflow="drop"))
    yield
    await asyncio.to_thread(client.close, timeout=5.0)


def dataart(request: Request) -> DataArtClient:
    """Return the client; tests replace it by a RecordingClient in `app.dependency_overrides`."""
    client: DataArtClient = request.app.state.dataart
    return client


app = FastAPI(lifespan=lifespan)


@app.post("/plays/{song}")
async def play(
    song: int, user: str, client: Annotated[DataArtClient, Depends(dataart)]
) -> dict[str, int]:
    """Emit an action."""
    client.emit_action("song-played", user, metadata={"song": song})
    return {"song": song}
