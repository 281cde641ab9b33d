"""Flask under gunicorn: `gunicorn --preload --workers 2 flask_app:app`.

The client is created once, before gunicorn forks, and all workers share it. It starts nothing
before the first event. `/metrics` reports the totals of all workers, whichever responds.
"""

from flask import Flask, Response, request
from prometheus_client import CollectorRegistry, generate_latest

from dataart_mp import Client, ClientConfig, context
from dataart_mp.integrations.prometheus import DataArtCollector

app = Flask(__name__)
client = Client(ClientConfig.from_env(overflow="drop"))  # a request never waits for the platform
registry = CollectorRegistry()
registry.register(DataArtCollector(client))


@app.before_request
def bind_request() -> None:
    """Add the id of the request to the metadata of all its actions."""
    context.bind(request_id=request.headers.get("X-Request-Id", "none"))


@app.teardown_request
def unbind_request(_error: BaseException | None) -> None:
    """End what `bind_request` has begun: the thread is used for other requests."""
    context.unbind("request_id")


@app.post("/plays/<int:song>")
def play(song: int) -> dict[str, int]:
    """Emit an action."""
    client.emit_action("song-played", request.args["user"], metadata={"song": song})
    return {"song": song}


@app.get("/metrics")
def metrics() -> Response:
    """Report the numbers of the client to Prometheus."""
    return Response(generate_latest(registry), mimetype="text/plain")
