"""Compressed input in all its forms, and formats that are named instead of called bad JSON."""

import bz2
import gzip
import io
import lzma
import os
import struct
import threading
import zipfile
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from dataart_mp.cli.input.beginning import beginning
from dataart_mp.cli.input.error import InputError
from dataart_mp.table.event import Action
from tests.cli.input.files import Write, events

try:
    from compression import zstd  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    from backports import zstd

LINES = [b'{"key":"k","user_key":"%d"}\n' % number for number in range(3)]
CONTENT = b"".join(LINES)
EVENTS = [Action("k", str(number)) for number in range(3)]


def skippable(content: bytes, number: int = 0) -> bytes:
    return struct.pack("<II", 0x184D2A50 + number, len(content)) + content


def zipped(content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("events.jsonl", content)
    return stream.getvalue()


def table(folder: Path) -> bytes:
    file = folder / "table.parquet"
    parquet.write_table(pyarrow.table({"key": ["k"] * 3, "user_key": ["0", "1", "2"]}), file)
    return file.read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        skippable(b"") + zstd.compress(CONTENT),
        skippable(b"x" * 100_000, 15) + zstd.compress(CONTENT) + skippable(b"end", 7),
        b"".join(skippable(b"1234") + zstd.compress(line) for line in LINES),
        b"".join(map(zstd.compress, LINES)),
        b"".join(map(gzip.compress, LINES)),
        gzip.compress(b"") + gzip.compress(CONTENT),
        gzip.compress(b"\xef\xbb\xbf" + CONTENT),
    ],
)
def test_frames_of_any_number_and_kind_are_read(write: Write, content: bytes) -> None:
    assert events(write(content, "events.jsonl")) == EVENTS


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (bz2.compress(CONTENT), "is bzip2; decompress it: bzip2 -dc FILE | dataart-mp ship … -"),
        (bz2.compress(b""), "is bzip2; "),
        (lzma.compress(CONTENT), "is xz; decompress it: xz -dc FILE | dataart-mp ship … -"),
        (zipped(CONTENT), "is a zip archive; unpack it, and name the files in it"),
        (CONTENT.decode().encode("utf-16"), "is UTF-16 text; convert it: iconv -f utf-16 -t utf-8"),
        (b"\xfe\xff" + CONTENT.decode().encode("utf-16-be"), "is UTF-16 text; "),
        (CONTENT.decode().encode("utf-16-le"), "is UTF-16 text; convert it: iconv -f utf-16le"),
        (CONTENT.decode().encode("utf-16-be"), "is UTF-16 text; convert it: iconv -f utf-16be"),
        (CONTENT.decode().encode("utf-32"), "is UTF-32 text; "),
        ("\nk,u\n".encode("utf-16"), "is UTF-16 text; "),
        (gzip.compress(gzip.compress(CONTENT)), "is gzip in gzip; decompress it: gzip -dc FILE |"),
        (zstd.compress(gzip.compress(CONTENT)), "is gzip in zstd; decompress it: zstd -dc FILE |"),
        (gzip.compress(lzma.compress(CONTENT)), "is xz; "),
        (b"\x04\x22\x4d\x18\x64@\xa7", "is lz4; "),
        (b"SQLite format 3\0", "is an SQLite database; "),
    ],
)
@pytest.mark.parametrize("name", ["events.jsonl", "events.csv"])
def test_a_foreign_format_is_named_with_what_to_do(
    write: Write, content: bytes, problem: str, name: str
) -> None:
    file = write(content, name)
    with pytest.raises(InputError) as caught:
        events(file)
    assert str(caught.value).startswith(f"{file}: {problem}")


@pytest.mark.parametrize("name", ["table.parquet.gz", "table"])
def test_compressed_parquet_is_named(write: Write, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"is Parquet in gzip; decompress it: gzip -dc FILE > "):
        events(write(gzip.compress(table(tmp_path)), name))


@pytest.mark.parametrize("header", ["BZhour", "ORC", "PARENT", "PK", "7z"])
def test_text_that_resembles_a_signature_is_text(write: Write, header: str) -> None:
    file = write(f"{header},user_key\nk,0\n")
    assert events(file, "--key", header) == [Action("k", "0")]


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_format_is_detected_however_a_pipe_is_written(size: int) -> None:
    content = zstd.compress(CONTENT)
    reader, writer = os.pipe()

    def write() -> None:
        with os.fdopen(writer, "wb", buffering=0) as stream:
            for start in range(0, len(content), size):
                stream.write(content[start : start + size])

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reader, "rb") as stream:
        first, whole = beginning(stream)
        assert (first, whole.read()) == (content[:16], content)
    thread.join()


def test_the_first_line_of_a_slow_pipe_is_read_without_waiting_for_more() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb", buffering=0) as output, os.fdopen(reader, "rb") as stream:
        output.write(b"a\n")
        first, whole = beginning(stream)
        assert (first, whole.readline()) == (b"a\n", b"a\n")
        output.write(b"a longer line than the buffer needs, but\nnot the end")
        assert whole.readline() == b"a longer line than the buffer needs, but\n"
