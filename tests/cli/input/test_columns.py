"""What `ship` makes of files: JSON Lines, CSV, Parquet, compressed or not, of any columns."""

import datetime
import gzip
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pyarrow
import pytest
from pyarrow import parquet

from dataart_mp.cli.input import compression
from dataart_mp.cli.input.error import InputError
from dataart_mp.cli.input.event import Action, Identity
from dataart_mp.cli.input.line import LONGEST_LINE
from dataart_mp.cli.input.options import input_options, read_input
from dataart_mp.cli.input.row import Position, Row
from dataart_mp.cli.input.time_format import TimeFormat
from dataart_mp.cli.ship.bad_rows import BadRows
from dataart_mp.cli.ship.shipment import event_of
from dataart_mp.errors import EventError
from dataart_mp.producer.encoder import encode_action, encode_identity

try:
    from compression import zstd  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    from backports import zstd

SHOP = ("--key", "what", "--user-key", "user", "--timestamp", "when")
TABLE = """\
user,what,when,price
17,bought,2021-05-04T10:11:12.123456789+02:00,2.50
ann,"looked,
long",2021-05-04T10:11:12Z,
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_table(content: str | bytes, name: str = "table.csv") -> Path:
        file = tmp_path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    return write_table


def rows(
    file: Path, *options: str, start: Position | None = None
) -> list[tuple[Row, Action | Identity | str | None]]:
    """The rows of a file, and the event of each, or why it is none."""
    given: dict[str, Any] = {}
    command = input_options(click.Command("read", callback=given.update))
    command.main(options, standalone_mode=False)
    source, columns = read_input((str(file),), **given)
    begin = {} if start is None else {str(file): start}
    return [(row, outcome(row, columns)) for row in source.rows(begin)]


def outcome(row: Row, columns: Any) -> Action | Identity | str | None:
    try:
        event = event_of(row, columns)
        match event:  # what an event may hold is for the client to say
            case Action():
                encode_action(*event)
            case Identity():
                encode_identity(*event)
    except EventError as error:
        return str(error)
    return event


def events(file: Path, *options: str) -> list[Action | Identity | str | None]:
    return [found for _, found in rows(file, *options)]


def test_columns_of_ones_own_become_the_fields_of_actions(write: Write) -> None:
    assert events(write(TABLE), *SHOP, "--metadata", "price:float") == [
        Action("bought", "17", False, "2021-05-04T10:11:12.123456789+02:00", {"price": 2.5}),
        Action("looked,\nlong", "ann", False, "2021-05-04T10:11:12Z", {"price": None}),
    ]


def test_a_row_knows_its_line_though_others_have_several(write: Write) -> None:
    found = rows(write(TABLE + "x\n"), *SHOP)

    assert [(row.number, row.after.lines) for row, _ in found] == [(2, 2), (3, 4), (5, 5)]
    assert found[2][1] == "1 columns, where the header has 4: quote what holds the delimiter"


def test_without_being_told_columns_are_what_their_names_say_and_metadata_the_rest(
    write: Write,
) -> None:
    table = "user_key,key,is_anonymous_user,n\nann,play,true,7\nbob,play,0,\n"

    assert events(write(table)) == [
        Action("play", "ann", True, None, {"n": "7"}),
        Action("play", "bob", False, None, {"n": None}),
    ]


def test_constants_stand_in_every_event(write: Write) -> None:
    constants = ("key=import", "metadata.batch:int=7", "metadata.source=a=b", "is_anonymous_user=1")
    options = [word for constant in constants for word in ("--set", constant)]

    assert events(write("user_key\nann\n"), *options) == [
        Action("import", "ann", True, None, {"batch": 7, "source": "a=b"})
    ]


def test_rows_can_be_identities(write: Write) -> None:
    table = "id,plan,key\n1,free,x\n,pro,y\n"

    assert events(write(table), "--identities", "--user-key", "id") == [
        Identity("1", {"plan": "free", "key": "x"}),
        "user_key: is missing: column 'id' is empty",
    ]


def test_metadata_is_named_and_typed_column_by_column(write: Write) -> None:
    table = 'user_key,key,a,b,c,d\nann,k,007,yes,"{""x"": 1}",1.5\nann,k,1_0,yes,1,1\n'

    found = events(write(table), "--metadata", "n=a:int,b:bool,c:json,d:text,again=d")

    assert found == [
        Action(
            "k", "ann", False, None, {"n": 7, "b": True, "c": {"x": 1}, "d": "1.5", "again": "1.5"}
        ),
        "metadata.n: '1_0' is no int",
    ]


@pytest.mark.parametrize(
    ("options", "text", "moment"),
    [
        (("--timezone", "UTC"), "2021-05-04 10:11:12", "2021-05-04T10:11:12+00:00"),
        ((), "2021-05-04 10:11:12+02", "2021-05-04T10:11:12+02:00"),
        (("--timezone", "Europe/Vienna"), "2021-05-04", "2021-05-04T00:00:00+02:00"),
        (("--timestamp-format", "unix"), "1620115872", "2021-05-04T08:11:12+00:00"),
        (("--timestamp-format", "unix"), "1620115872.5", "2021-05-04T08:11:12.500000+00:00"),
        (("--timestamp-format", "unix-ms"), "1620115872001", "2021-05-04T08:11:12.001000+00:00"),
        (
            ("--timestamp-format", "%d.%m.%Y %H:%M%z"),
            "4.5.2021 1:02+0100",
            "2021-05-04T01:02:00+01:00",
        ),
    ],
)
def test_timestamps_are_read_as_they_are_written(
    write: Write, options: tuple[str, ...], text: str, moment: str
) -> None:
    (event,) = events(write(f"user_key,key,timestamp\nann,k,{text}\n"), *options)

    assert isinstance(event, Action)
    assert isinstance(event.timestamp, datetime.datetime)
    assert event.timestamp.isoformat() == moment


@pytest.mark.parametrize(
    ("options", "text", "said"),
    [
        ((), "2021-05-04 10:11:12", "has no offset; say where it is so late: --timezone UTC"),
        ((), "yesterday", "'yesterday' is no RFC 3339; say what it is by --timestamp-format"),
        ((), "", "timestamp: is missing: column 'timestamp' is empty"),
        (("--timestamp-format", "unix"), "1e999", "is no count since 1970"),
        (("--timestamp-format", "unix"), "NaN", "is no count since 1970"),
        (("--timestamp-format", "%Y"), "x", "does not fit --timestamp-format '%Y'"),
    ],
)
def test_a_time_that_is_none_makes_a_bad_row(
    write: Write, options: tuple[str, ...], text: str, said: str
) -> None:
    (found,) = events(write(f'user_key,key,timestamp\nann,k,"{text}"\n'), *options)

    assert isinstance(found, str)
    assert said in found


def test_objects_in_json_lines_have_columns_too(write: Write) -> None:
    lines = '{"who": 5, "what": "play", "song": {"n": 1}}\n{"who": null, "what": "play"}\n'

    assert events(write(lines, "x.jsonl"), "--user-key", "who", "--key", "what") == [
        Action("play", "5", False, None, {"song": {"n": 1}}),
        "user_key: is missing: column 'who' is empty",
    ]


def test_a_table_in_the_shape_of_events_is_shipped_as_such(write: Write) -> None:
    table = 'key,user_key,metadata\nk,ann,"{""a"": 1}"\nk,ann,\nk,ann,[]\n'

    assert events(write(table)) == [
        Action("k", "ann", False, None, {"a": 1}),
        Action("k", "ann", False, None, None),
        "metadata: must be an object, not '[]'",
    ]


@pytest.mark.parametrize(
    ("header", "options", "said"),
    [
        ("user_key,what", (), "which column is the event's key? --key COLUMN, --set key=TEXT, or"),
        ("user_key,what", ("--key", "wat"), "--key: no column 'wat' in user_key, what"),
        ("key,user_key", ("--metadata", "a"), "--metadata: no column 'a' in key, user_key"),
        ("key,user_key,metadata,a", (), "not used, beside a column 'metadata': a; name all by"),
        ("key,user_key,a,a", (), ": the column 'a' is there twice; name all columns by --columns"),
        ("k,ann,1,2", ("--columns", "key,user_key,a,a"), ": the column 'a' is there twice"),
        ('key,"x', (), ":1: not CSV: unexpected end of data"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_before_its_first_row(
    write: Write, header: str, options: tuple[str, ...], said: str
) -> None:
    with pytest.raises(InputError) as caught:
        events(write(header + "\n"), *options)

    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--set", "key"), "must be FIELD=VALUE"),
        (("--set", "metadata.n:int=x"), "'x' is no int"),
        (("--key", "a", "--set", "key=b"), "key has a column, and is --set"),
        (("--identities", "--key", "a"), "--identities have a user_key and metadata, but no key"),
        (("--timezone", "Mars/Base"), "'Mars/Base' is no time zone"),
        (("--timezone", "../../etc/passwd"), "is no time zone"),
        (("--timestamp-format", "iso"), "or a pattern such as"),
        (("--timestamp-format", "%d %d"), "'%d %d' is no pattern that times can be read by"),
        (("--timestamp-format", "%Q"), "'%Q' is no pattern that times can be read by"),
        (("--timestamp-format", "%"), "'%' is no pattern that times can be read by"),
        (("--timestamp-format", "%G"), "'%G' is no pattern that times can be read by"),
        (("--delimiter", "ab"), "must be one ASCII character"),
        (("--encoding", "utf-16"), "convert it: iconv -f utf-16 -t utf-8"),
        (("--encoding", "utf-7"), "convert it: iconv -f utf-7 -t utf-8"),
        (("--encoding", "raw_unicode_escape"), "is no encoding of lines"),
        (("--encoding", "idna"), "is no encoding that Python knows"),
        (("--encoding", "klingon"), "is no encoding that Python knows"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    write: Write, options: tuple[str, ...], said: str
) -> None:
    with pytest.raises(click.UsageError) as caught:
        events(write(TABLE), *options)

    assert said in caught.value.format_message()


def test_csv_comes_in_many_kinds(write: Write) -> None:
    same = [Action("k", "ä", False, None, {"n": "1"})]

    assert events(write("key;user_key;n\r\nk;ä;1\r\n\r\n"), "--delimiter", ";") == [*same, None]
    assert events(write("key\tuser_key\tn\nk\tä\t1", "a.tsv")) == same
    assert events(write("\ufeffkey,user_key,n\nk,ä,1\n")) == same
    assert events(write("k,ä,1\n"), "--columns", "key,user_key,n") == same
    assert events(write("key,user_key,n\nk,ä,1\n".encode("cp1252")), "--encoding", "cp1252") == same
    assert events(write("key,user_key,n\nk,ä,1\n", "data"), "--format", "csv") == same


@pytest.mark.parametrize("encoding", ["utf-8-sig", "UTF_8_SIG"])
def test_a_mark_at_the_start_is_no_encoding_of_its_own(write: Write, encoding: str) -> None:
    table = write("\ufeffkey,user_key\nk,ä\n\ufeffk,u\n")

    assert events(table, "--encoding", encoding) == events(table)


def test_a_line_that_its_encoding_cannot_end_in_spoils_its_own_row_only(write: Write) -> None:
    table = b"key,user_key\nk,ok\nk,\x1b"

    good, spoiled = events(write(table), "--encoding", "iso2022_jp")

    assert isinstance(spoiled, str)
    assert spoiled.startswith("not CSV: 'iso2022_jp' codec can't decode")
    assert good == Action("k", "ok", False, None, None)


@pytest.mark.parametrize(
    "pattern",
    ["%d.%m.%Y %H:%M", "%Y-%m-%dT%H:%M:%S.%f%z", "%I:%M %p, %a %d %b %y", "%c %Z", "%%%Y%j"],
)
def test_patterns_that_times_can_be_read_by_are_taken(pattern: str) -> None:
    assert TimeFormat(pattern).format == pattern


def test_what_is_wrongly_encoded_or_quoted_spoils_its_own_row_only(write: Write) -> None:
    table = b'key,user_key\nk,\xff\nk,"a"b\nk,ok\n'

    encoding, quoting, good = events(write(table))

    assert isinstance(encoding, str)
    assert encoding.startswith("user_key: str (")
    assert quoting == "not CSV: ',' expected after '\"'"
    assert good == Action("k", "ok", False, None, None)


def test_a_quote_that_is_never_closed_fills_no_memory(write: Write) -> None:
    table = b'key,user_key\nk,"' + b"x" * (LONGEST_LINE + 5) + b"\nk,ok\n"

    spoiled, good = events(write(table))

    assert isinstance(spoiled, str)
    assert spoiled.startswith("not CSV: the line is longer than 16,777,216 bytes")
    assert good == Action("k", "ok", False, None, None)


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress])
@pytest.mark.parametrize("name", ["table.csv.gz", "table.csv.zst", "table.csv"])
def test_compressed_files_are_told_by_their_content(
    write: Write, compress: Callable[[bytes], bytes], name: str
) -> None:
    file = write(compress(TABLE.encode()), name)

    assert events(file, *SHOP) == events(write(TABLE), *SHOP)


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress])
def test_a_compressed_file_that_is_cut_off_is_told(
    write: Write, compress: Callable[[bytes], bytes]
) -> None:
    whole = compress(b"".join(b'{"key":"k","user_key":"u%d"}\n' % n for n in range(1000)))

    with pytest.raises(InputError, match="is cut off or damaged"):
        events(write(whole[:-9], "events.jsonl.gz"))


def test_parquet_is_read_with_its_types(tmp_path: Path) -> None:
    moment = datetime.datetime(2021, 5, 4, 10, 11, 12, 123456, datetime.UTC)
    table = pyarrow.table(
        {
            "user": [1, None],
            "what": ["a", "b"],
            "when": pyarrow.array([moment, moment], pyarrow.timestamp("ns", tz="UTC")),
            "tags": [["x"], None],
            "more": [{"n": 1}, None],
        }
    )
    file = tmp_path / "data"  # told by its content
    parquet.write_table(table, file)

    assert events(file, *SHOP) == [
        Action("a", "1", False, moment, {"tags": ["x"], "more": {"n": 1}}),
        "user_key: is missing: column 'user' is empty",
    ]
    assert events(file, *SHOP, "--metadata", "")[0] == Action("a", "1", False, moment, None)


def test_rows_of_parquet_of_which_no_column_is_wanted_are_events_all_the_same(
    tmp_path: Path,
) -> None:
    file = tmp_path / "constants.parquet"
    parquet.write_table(pyarrow.table({"n": [1, 2]}), file)
    options = ("--metadata", "", "--set", "key=k", "--set", "user_key=ann")
    assert events(file, *options) == [Action("k", "ann", False, None, None)] * 2


def test_a_damaged_parquet_file_is_told(write: Write) -> None:
    with pytest.raises(InputError, match="is damaged, or no Parquet"):
        events(write(b"PAR1nonsense", "x.parquet"))


def test_what_is_not_installed_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pyarrow", "compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, module, None)
    compression._zstd_module.cache_clear()
    try:
        with pytest.raises(InputError, match=r"pip install 'dataart-mp\[parquet\]'"):
            events(write(b"PAR1", "x"))
        with pytest.raises(InputError, match=r"pip install 'dataart-mp\[zstd\]'"):
            events(write(b"\x28\xb5\x2f\xfd", "x"))
    finally:
        compression._zstd_module.cache_clear()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_reading_goes_on_after_a_position_and_only_in_the_same_file(
    write: Write, tmp_path: Path, kind: str
) -> None:
    users = [f"user\n{number}" for number in range(2500)]
    file = tmp_path / f"table.{kind}"
    if kind == "csv":
        text = "".join(f'k,"{user}"\n' for user in users)
        file.write_text(f"key,user_key\n{text}")
    else:
        parquet.write_table(pyarrow.table({"key": ["k"] * len(users), "user_key": users}), file)
    all_rows = rows(file)
    for reached in (0, 999, 1000, 2499):
        assert rows(file, start=all_rows[reached][0].after) == all_rows[reached + 1 :]

    wrong = all_rows[5][0].after._replace(crc=1)
    with pytest.raises(InputError, match="is not what it was when its first"):
        rows(file, start=wrong)


def test_bad_rows_are_kept_with_line_and_reason(write: Write, tmp_path: Path) -> None:
    kept = tmp_path / "bad.jsonl"
    with BadRows(kept) as bad:
        for row, found in rows(write('{"key":"k"}\n', "x.jsonl")):
            assert isinstance(found, str)
            bad.add(row, EventError(found))

    assert kept.read_text() == (
        f'{{"file": "{tmp_path}/x.jsonl", "line": 1, "reason": "user_key: is missing", '
        '"row": "{\\"key\\":\\"k\\"}"}\n'
    )


def test_the_source_counts_bytes_of_the_file_not_of_its_content(write: Write) -> None:
    file = write(gzip.compress(b'{"key":"k","user_key":"u"}\n' * 1000), "x.gz")
    given: dict[str, Any] = {}
    input_options(click.Command("read", callback=given.update)).main([], standalone_mode=False)
    source, _ = read_input((str(file),), **given)

    assert len(list(source.rows())) == 1000
    assert source.bytes == source.size == file.stat().st_size
