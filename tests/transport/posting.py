"""One request to the endpoint of actions, and a server's side of TLS."""

import ssl
from typing import Any

import trustme

from dataart_mp.transport.response import Response
from dataart_mp.transport.sender import Sender

PATH = "/events/send-actions"
BODY = b'{"timestamp":"2021-05-04T10:11:12+00:00","actions":[]}'
NAME = "platform.example"


def post(sender: Sender, body: bytes = BODY) -> Response:
    return sender.post(PATH, body, "key-1")


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Return a server's TLS context that shows this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def idle_pool(sender: Sender) -> Any:
    """Return the urllib3 pool that holds the sender's connections to the platform."""
    (key,) = sender._pool.pools.keys()
    return sender._pool.pools[key]


def idle_connection(sender: Sender) -> Any:
    """Return the one idle connection of a sender."""
    (connection,) = filter(None, idle_pool(sender).pool.queue)
    return connection
