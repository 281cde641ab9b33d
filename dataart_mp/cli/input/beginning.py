"""The first bytes of a stream, read without taking them from it."""

from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING

from dataart_mp.cli.input.signature import LENGTH

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


def beginning(stream: BufferedReader) -> tuple[bytes, BufferedReader]:
    """Return the first bytes of a stream, and a stream that returns them again.

    `peek` would return what one write into a pipe contained, which may be a single byte.

    Returns:
        LENGTH bytes, or fewer if the first line is shorter: the rest may come much later.
    """
    if stream.seekable():
        start = stream.tell()
        first = stream.readline(LENGTH)
        stream.seek(start)
        return first, stream
    first = stream.readline(LENGTH)
    return first, BufferedReader(_Rejoined(first, stream))


class _Rejoined(RawIOBase):
    """Some bytes, and then the rest of the stream that they were read from."""

    def __init__(self, first: bytes, rest: BufferedReader) -> None:
        super().__init__()
        self._first = first
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        # Not `readinto1`, which may wait for more although some bytes are available.
        content = self._first[: len(view)] or self._rest.read1(len(view))
        self._first = self._first[len(view) :]
        view[: len(content)] = content
        return len(content)
