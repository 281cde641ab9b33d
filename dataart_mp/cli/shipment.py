"""Lines on their way into a client."""

from collections.abc import Callable, Iterable

from dataart_mp.cli.event import parse_event
from dataart_mp.cli.line import LONGEST_LINE, Line
from dataart_mp.errors import EventError
from dataart_mp.protocol import DataArtClient


class Shipment:
    """Hands the events of lines to a client, and counts.

    Args:
        client: Where the events go.
        on_bad_line: Called with each line that is no event, and the reason; what it raises ends
            the reading.

    Attributes:
        lines: How many were read, empty ones included.
        bytes: In those lines.
        bad_lines: How many were no event.
    """

    def __init__(
        self, client: DataArtClient, on_bad_line: Callable[[Line, EventError], object]
    ) -> None:
        self._client = client
        self._on_bad_line = on_bad_line
        self.lines = 0
        self.bytes = 0
        self.bad_lines = 0

    def take(self, lines: Iterable[Line]) -> None:
        """Hand over the events of all lines; empty lines are passed over."""
        for line in lines:
            self.lines += 1
            self.bytes += len(line.content)
            if line.content.isspace():
                continue
            try:
                self._hand_over(line.content)
            except EventError as error:
                self.bad_lines += 1
                self._on_bad_line(line, error)

    def _hand_over(self, content: bytes) -> None:
        if len(content) >= LONGEST_LINE:
            raise EventError(f"the line is longer than {LONGEST_LINE:,} bytes")
        parse_event(content).hand_to(self._client)
