"""Lines are read with their places, and handed to a client one by one."""

import io
from collections.abc import Iterable

import pytest

from dataart_mp.cli.input.line import LONGEST_LINE, Lines, rows_of_lines
from dataart_mp.cli.input.row import Row
from dataart_mp.cli.ship.shipment import Shipment
from dataart_mp.errors import EventError
from dataart_mp.testing import RecordingClient


def lines(content: bytes) -> list[Row]:
    return list(rows_of_lines("events.jsonl", Lines(io.BytesIO(content))))


class Reader:
    """A shipment to a client that records, and the reasons against bad lines."""

    def __init__(self) -> None:
        self.client = RecordingClient()
        self.reasons: list[str] = []
        self.shipment = Shipment(self.client, self._note)

    def take(self, content: Iterable[Row]) -> None:
        self.shipment.take(content)

    def _note(self, line: Row, error: EventError) -> None:
        self.reasons.append(f"{line.place}: {error}")


def test_a_line_knows_its_file_and_number() -> None:
    assert [line.place for line in lines(b"a\nb\n\nc")] == [
        f"events.jsonl:{number}" for number in (1, 2, 3, 4)
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert [line.content for line in lines(b"\xef\xbb\xbf{}\n{}")] == [b"{}\n", b"{}"]


def test_a_line_without_end_fills_no_memory_and_spoils_no_other() -> None:
    content = b"x" * (2 * LONGEST_LINE + 5) + b'\n{"key":"k","user_key":"u"}\n'
    reader = Reader()

    reader.take(lines(content))

    assert [action.key for action in reader.client.actions] == ["k"]
    assert reader.reasons == [f"events.jsonl:1: the line is longer than {LONGEST_LINE:,} bytes"]


def test_empty_lines_and_windows_line_ends_are_passed_over() -> None:
    reader = Reader()

    reader.take(lines(b'\r\n{"key":"k","user_key":"u"}\r\n  \n\n'))

    assert len(reader.client.actions) == 1
    assert reader.shipment.rows == 4
    assert not reader.reasons


def test_a_bad_line_is_told_with_its_place_in_the_words_of_the_client() -> None:
    reader = Reader()

    reader.take(
        lines(b'{"key":"k","user_key":"u"}\n{"key":"k","user_key":5}\n{"key":"","user_key":"u"}')
    )

    assert reader.shipment.bad_rows == 2
    assert reader.reasons[0].startswith("events.jsonl:2: user_key: int (5) is refused")
    assert reader.reasons[1].startswith("events.jsonl:3: key: ")


def test_what_the_bad_line_raises_ends_the_reading() -> None:
    def refuse(line: Row, error: EventError) -> None:
        raise LookupError

    client = RecordingClient()
    shipment = Shipment(client, refuse)

    with pytest.raises(LookupError):
        shipment.take(lines(b'{"key":"a","user_key":"u"}\n?\n{"key":"b","user_key":"u"}'))

    assert [action.key for action in client.actions] == ["a"]
    assert (shipment.rows, shipment.bad_rows) == (2, 1)
