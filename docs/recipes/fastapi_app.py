"""FastAPI with a lifespan: `uvicorn --workers 2 fastapi_app:app`.

With `overflow="drop"`, a response never waits for room in the buffer, so an outage of the platform
delays none. Closing waits for the delivery; what is not delivered in time is delivered by the
worker processes of the client, which outlive the server.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request

from dataart_mp import AsyncDataArtClient, ClientConfig
from dataart_mp.aio import AsyncClient


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open a client when the server starts, and close it when the server ends."""
    async with AsyncClient(ClientConfig.from_env(overflow="drop")) as client:
        app.state.dataart = client
        yield
        await client.aclose(timeout=5.0)


def dataart(request: Request) -> AsyncDataArtClient:
    """Return the client; tests set an AsyncRecordingClient in `app.dependency_overrides`."""
    client: AsyncDataArtClient = request.app.state.dataart
    return client


app = FastAPI(lifespan=lifespan)


@app.post("/plays/{song}")
async def play(
    song: int, user: str, client: Annotated[AsyncDataArtClient, Depends(dataart)]
) -> dict[str, int]:
    """Emit an action."""
    await client.emit_action("song-played", user, metadata={"song": song})
    return {"song": song}
