"""Lines are read with their positions, and their events emitted one by one."""

import io
from collections.abc import Iterable

import pytest

from dataart_mp.cli.input.line import MAX_LINE_BYTES, Lines, rows_of_lines
from dataart_mp.cli.input.row import Row
from dataart_mp.cli.ship.shipment import Shipment
from dataart_mp.errors import EventError
from dataart_mp.testing import RecordingClient


def lines(content: bytes) -> list[Row]:
    return list(rows_of_lines("events.jsonl", Lines(io.BytesIO(content))))


class Reader:
    """A shipment to a recording client, and the reasons why lines are bad."""

    def __init__(self) -> None:
        self.client = RecordingClient()
        self.reasons: list[str] = []
        self.shipment = Shipment(self.client, self._on_bad_row)

    def take(self, content: Iterable[Row]) -> None:
        self.shipment.take(content)

    def _on_bad_row(self, line: Row, error: EventError) -> None:
        self.reasons.append(f"{line.place}: {error}")


def test_a_line_knows_its_file_and_number() -> None:
    assert [line.place for line in lines(b"a\nb\n\nc")] == [
        f"events.jsonl:{number}" for number in (1, 2, 3, 4)
    ]


def test_a_byte_order_mark_is_not_part_of_the_first_line() -> None:
    assert [line.content for line in lines(b"\xef\xbb\xbf{}\n{}")] == [b"{}\n", b"{}"]


def test_a_line_that_is_too_long_is_bad_and_the_next_line_is_read() -> None:
    content = b"x" * (2 * MAX_LINE_BYTES + 5) + b'\n{"key":"k","user_key":"u"}\n'
    reader = Reader()

    reader.take(lines(content))

    assert [action.key for action in reader.client.actions] == ["k"]
    assert reader.reasons == [f"events.jsonl:1: the line is longer than {MAX_LINE_BYTES:,} bytes"]


def test_empty_lines_and_windows_line_ends_are_ignored() -> None:
    reader = Reader()

    reader.take(lines(b'\r\n{"key":"k","user_key":"u"}\r\n  \n\n'))

    assert len(reader.client.actions) == 1
    assert reader.shipment.rows == 4
    assert not reader.reasons


def test_a_bad_line_is_reported_with_its_place_and_without_python_terms() -> None:
    reader = Reader()

    reader.take(
        lines(b'{"key":"k","user_key":"u"}\n{"key":"k","user_key":5}\n{"key":"","user_key":"u"}')
    )

    assert reader.shipment.bad_rows == 2
    assert reader.reasons == [
        "events.jsonl:2: user_key: must be text, not 5",
        "events.jsonl:3: key: must not be empty",
    ]


def test_an_exception_of_the_callback_ends_the_shipment() -> None:
    def refuse(line: Row, error: EventError) -> None:
        raise LookupError

    client = RecordingClient()
    shipment = Shipment(client, refuse)

    with pytest.raises(LookupError):
        shipment.take(lines(b'{"key":"a","user_key":"u"}\n?\n{"key":"b","user_key":"u"}'))

    assert [action.key for action in client.actions] == ["a"]
    assert (shipment.rows, shipment.bad_rows) == (2, 1)
