"""A bounded response: one that http.client reads within one deadline and a number of bytes.

http.client waits for each piece of a response anew, skips any number of interim (1xx) responses,
and reads any number of trailers. So a server, or something in between, that sends a byte now and
then would hold up a sender forever. One line that it cannot parse hides all headers below it, so it
would wait for the end of a body whose length the server did state.

    │ interim responses, skipped │ status │ fields, without unreadable ones │ body │ trailers │
    └──────────────────────── within one deadline and MAX_BYTES ────────────────────────────────┘

It relies on this of http.client, in all versions of Python that are supported: the constructor
calls only `makefile("rb")` of its socket and keeps the result in `fp`; `begin` and the CONNECT of a
tunnel read the first line with `_read_status`; `begin` parses the fields from `fp`, and leaves
`length`, `chunked` and `will_close`.
"""

import http.client
import io
import math
import re
import socket
from typing import Any, Final, cast

from dataart_mp import clock

MAX_BYTES: Final = 256 * 1024
"""The most bytes of a response that are read, with all that frames it."""
_MAX_LINE: Final = 64 * 1024
# A response that does not state where it ends might never end. A refusal is worth a moment of
# waiting for its text.
_ENDLESS_BODY_SECONDS: Final = 1.0
_SWITCHING_PROTOCOLS: Final = 101
_FIELD: Final = re.compile(rb"([!-9;-~]+)[\t ]*:(.*)", re.DOTALL)


class BoundedResponse(http.client.HTTPResponse):
    """A response to one request. Reading it raises TimeoutError after the deadline.

    Args:
        sock: The socket that it arrives on. Its timeout, now, is for the whole response.
        debuglevel: As for http.client.
        method: The method of the request.
        url: As for http.client.
        data: Bytes of the response that were read already.
        deadline: The end of the wait (monotonic, seconds); None for the timeout of the socket.
    """

    def __init__(
        self,
        sock: socket.socket,
        debuglevel: int = 0,
        method: str | None = None,
        url: str | None = None,
        *,
        data: bytes = b"",
        deadline: float | None = None,
    ) -> None:
        self._stream = _BoundedStream(sock, deadline or _deadline_of(sock), data)
        self._status: tuple[str, int, str] | None = None
        super().__init__(cast("Any", self._stream), debuglevel, method, url)

    def _read_status(self) -> tuple[str, int, str]:
        """Return version, status and reason of the first response that is not an interim one."""
        while self._status is None:
            line = super()._read_status()  # type: ignore[misc]
            if 100 <= line[1] < 200 and line[1] != _SWITCHING_PROTOCOLS:
                _readable_fields(self.fp)
            else:
                self._status = line
        return self._status

    def begin(self) -> None:
        """Read the head."""
        if cast("Any", self.headers) is not None:  # it was read before
            return
        self._read_status()
        stream, self.fp = self.fp, cast("Any", io.BytesIO(_readable_fields(self.fp)))
        try:
            super().begin()
        finally:
            self.fp = stream
        if self.length is None and not self.chunked:
            self._limit_endless_body()

    def _limit_endless_body(self) -> None:
        """Read no body of unknown length if the status is all that counts, and else not for long.

        http.client closes the connection after such a response.
        """
        if 200 <= self.status < 300:
            self.length = 0
        else:
            self._stream.end_within(_ENDLESS_BODY_SECONDS)


class _BoundedStream(io.RawIOBase):
    """What arrives on a socket within the bounds; http.client takes it for the socket.

    Args:
        sock: The socket.
        deadline: The end of the wait (monotonic, seconds).
        data: Bytes to return first.
    """

    def __init__(self, sock: socket.socket, deadline: float, data: bytes) -> None:
        self._sock = sock
        self._rest = sock.makefile("rb", buffering=0)  # keeps the socket open though it is closed
        self._deadline = deadline
        self._end = math.inf
        self._data = data
        self._room = MAX_BYTES

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def end_within(self, seconds: float) -> None:
        """Report the end of the data after so many seconds, whether or not it is the end."""
        self._end = clock.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._room:
            raise http.client.HTTPException(f"the response is longer than {MAX_BYTES:,} bytes")
        with memoryview(buffer) as view:
            count = self._read(view[: self._room])
        self._room -= count
        return count

    def _read(self, view: memoryview) -> int:
        if self._data:
            count = min(len(view), len(self._data))
            view[:count], self._data = self._data[:count], self._data[count:]
            return count
        try:
            self._await()
            return self._rest.readinto(view) or 0
        except TimeoutError:
            if clock.monotonic() < self._end:
                raise
            return 0

    def _await(self) -> None:
        """Make the next read of the socket end with the deadline.

        Raises:
            TimeoutError: It is over.
        """
        seconds = min(self._deadline, self._end) - clock.monotonic()
        if seconds <= 0:
            raise TimeoutError("timed out")
        if seconds < math.inf:
            self._sock.settimeout(seconds)

    def close(self) -> None:
        self._rest.close()
        super().close()


def _deadline_of(sock: socket.socket) -> float:
    timeout = sock.gettimeout()
    return math.inf if timeout is None else clock.monotonic() + timeout


def _readable_fields(stream: io.BufferedReader) -> bytes:
    """Read the fields of a head, and return those that can be parsed, one a line.

    A space before the colon is removed, as RFC 9112 (5.1) requires of proxies, because the field
    may say how long the body is. A folded field becomes one line.
    """
    lines: list[bytes] = []
    is_kept = False
    while line := stream.readline(_MAX_LINE + 1):
        if len(line) > _MAX_LINE:
            raise http.client.LineTooLong("header line")
        line = line.rstrip(b"\r\n").replace(b"\r", b" ")
        if not line:
            break
        if line[:1] in (b" ", b"\t"):
            if is_kept:
                lines[-1] += b" " + line.strip()
            continue
        field = _FIELD.fullmatch(line)
        is_kept = field is not None
        if field is not None:
            lines.append(field[1] + b":" + field[2])
    return b"".join(line + b"\r\n" for line in [*lines, b""])
