"""A function that is frozen after each invocation, as on AWS Lambda.

Everything stops when the handler returns, the worker processes too, until the next invocation. So
the handler waits for the delivery, but not for longer than it can afford. What is pending then is
sent when the environment is thawed, which keeps its memory. If it is destroyed instead, what was
pending is lost, so let the time limit be generous.
"""

from typing import Any

from dataart_mp import Client, ClientConfig

# One worker process is enough for one request at a time.
client = Client(ClientConfig.from_env(flush_num_processes=1, flush_num_workers=4))


def handler(event: dict[str, Any], _context: object) -> dict[str, int]:
    """Emit an action, and wait for its delivery for up to a second."""
    client.emit_action("song-played", event["user"], metadata={"song": event["song"]})
    return {"pending": client.flush(timeout=1.0)}
