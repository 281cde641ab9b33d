"""CSV in its dialects and encodings, and rows that are damaged."""

import pytest

from dataart_mp.cli.input.line import MAX_LINE_BYTES
from dataart_mp.table.event import Action, Identity
from tests.cli.input.files import SHOP, TABLE, Write, events, rows


def test_a_row_has_the_number_of_its_first_line(write: Write) -> None:
    found = rows(write(TABLE + "x\n"), *SHOP)

    assert [(row.number, row.after.lines) for row, _ in found] == [(2, 2), (3, 4), (5, 5)]
    assert found[2][1] == (
        "the row has 1 columns, but the header has 4; quote cells that contain the delimiter"
    )


def test_delimiters_line_ends_headers_and_encodings_can_vary(write: Write) -> None:
    same = [Action("k", "ä", False, None, {"n": "1"})]

    assert events(write("key;user_key;n\r\nk;ä;1\r\n\r\n"), "--delimiter", ";") == [*same, None]
    assert events(write("key\tuser_key\tn\nk\tä\t1", "a.tsv")) == same
    assert events(write("\ufeffkey,user_key,n\nk,ä,1\n")) == same
    assert events(write("k,ä,1\n"), "--columns", "key,user_key,n") == same
    assert events(write("key,user_key,n\nk,ä,1\n".encode("cp1252")), "--encoding", "cp1252") == same
    assert events(write("key,user_key,n\nk,ä,1\n", "data"), "--format", "csv") == same


@pytest.mark.parametrize("encoding", ["utf-8-sig", "UTF_8_SIG"])
def test_the_encoding_with_a_byte_order_mark_is_plain_utf_8(write: Write, encoding: str) -> None:
    table = write("\ufeffkey,user_key\nk,ä\n\ufeffk,u\n")

    assert events(table, "--encoding", encoding) == events(table)


def test_an_incomplete_escape_sequence_affects_only_its_row(write: Write) -> None:
    table = b"key,user_key\nk,ok\nk,\x1b"

    good, bad = events(write(table), "--encoding", "iso2022_jp")

    assert isinstance(bad, str)
    assert bad.startswith("not CSV: 'iso2022_jp' codec can't decode")
    assert good == Action("k", "ok", False, None, None)


def test_wrong_encoding_or_quoting_affects_only_its_row(write: Write) -> None:
    table = b'key,user_key\nk,\xff\nk,"a"b\nk,ok\n'

    encoding, quoting, good = events(write(table))

    assert isinstance(encoding, str)
    assert encoding.startswith("user_key: '\\udcff' is not valid text in its encoding; set --enc")
    assert quoting == "not CSV: ',' expected after '\"'"
    assert good == Action("k", "ok", False, None, None)


def test_an_unclosed_quote_does_not_fill_the_memory(write: Write) -> None:
    table = b'key,user_key\nk,"' + b"x" * (MAX_LINE_BYTES + 5) + b"\nk,ok\n"

    bad, good = events(write(table))

    assert isinstance(bad, str)
    assert bad.startswith("not CSV: the line is longer than 16,777,216 bytes")
    assert good == Action("k", "ok", False, None, None)


@pytest.mark.parametrize(
    "blank", ["\n", "\r\n", "\n\n\n", " \n", " \t \n", ",,\n", "\ufeff\n", "\ufeff\r\n \n"]
)
def test_blank_lines_before_the_header_are_skipped(write: Write, blank: str) -> None:
    file = write(f"{blank}key,user_key\nplay,ann\n\n  \nplay,bob\n")

    found = rows(file)

    assert [outcome for _, outcome in found if outcome] == [
        Action("play", "ann"),
        Action("play", "bob"),
    ]
    assert found[0][0].number == blank.count("\n") + 2
    assert rows(file, start=found[0][0].after) == found[1:]


@pytest.mark.parametrize("content", ["", "\n", "\ufeff", "\ufeff\n", " \n\n"])
@pytest.mark.parametrize("name", ["x.csv", "x.jsonl"])
def test_a_file_of_blank_lines_has_no_events(write: Write, content: str, name: str) -> None:
    assert not any(events(write(content, name)))


def test_a_blank_line_of_a_table_with_one_column_is_a_value(write: Write) -> None:
    assert events(write("user_key\n \n"), "--identities") == [Identity(" ")]
