"""A sender whose requests are sent over channels, as the loop of a worker does."""

import select

from dataart_mp import clock
from dataart_mp.transport.channel import Channel, Outcome
from dataart_mp.transport.ordinary_response import OrdinaryResponse
from dataart_mp.transport.response import Response
from dataart_mp.transport.sender import Sender


class DrivenSender(Sender):
    """Posts over channels as far as there are any.

    Attributes:
        driven: How many requests a channel has sent.
    """

    driven = 0

    def post(self, path: str, body: bytes, key: str) -> Response:
        channel = self.take_channel()
        if channel is None:
            return super().post(path, body, key)
        self.driven += 1
        outcome = drive(channel, self.request(path, body, key))
        if isinstance(outcome, OrdinaryResponse):
            if not channel.is_reusable:
                channel.connection.close()
            self.put_back(channel.connection)
        return self.complete(outcome, channel.connection, path, body, key)


def drive(channel: Channel, request: bytes) -> Outcome:
    """Send one request, and wait for the outcome."""
    outcome = channel.send(request, clock.monotonic())
    while outcome is None:
        poll = select.poll()
        poll.register(channel.fd, select.POLLOUT if channel.wants_to_write else select.POLLIN)
        seconds = max(0.0, channel.deadline - clock.monotonic())
        ready = poll.poll(seconds * 1000)
        now = clock.monotonic()
        if ready:
            outcome = channel.proceed(now)
        elif now >= channel.deadline:
            outcome = channel.expire(now)
    return outcome
