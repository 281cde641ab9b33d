"""Formats that a file's first bytes identify, and that cannot be shipped as they are."""

import re
from typing import Final, NamedTuple

LENGTH: Final = 16
"""Number of first bytes that identify any format."""


class _Foreign(NamedTuple):
    """A format, the pattern of its first bytes, and how to convert it."""

    name: str
    pattern: re.Pattern[bytes]
    remedy: str


_ICONV: Final = "convert it: iconv -f {encoding} -t utf-8 FILE | dataart-mp ship … -"
_DECOMPRESS: Final = "decompress it: {program} -dc FILE | dataart-mp ship … -"
_UNPACK: Final = "unpack it, and name the files in it"
_CONVERT: Final = "convert it to JSON Lines, CSV or Parquet"


def _foreign(name: str, pattern: bytes, remedy: str, **words: str) -> _Foreign:
    return _Foreign(name, re.compile(pattern, re.DOTALL), remedy.format(**words))


# The first match counts: UTF-32 also begins as UTF-16 does.
_FORMATS: Final = (
    _foreign("UTF-32 text", rb"\xff\xfe\0\0|\0\0\xfe\xff", _ICONV, encoding="utf-32"),
    _foreign("UTF-16 text", rb"\xff\xfe|\xfe\xff", _ICONV, encoding="utf-16"),
    _foreign("UTF-16 text", rb"[^\0]\0[^\0]\0", _ICONV, encoding="utf-16le"),
    _foreign("UTF-16 text", rb"\0[^\0]\0[^\0]", _ICONV, encoding="utf-16be"),
    _foreign("bzip2", rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", _DECOMPRESS, program="bzip2"),
    _foreign("xz", rb"\xfd7zXZ\0", _DECOMPRESS, program="xz"),
    _foreign("lzip", rb"LZIP\x01", _DECOMPRESS, program="lzip"),
    _foreign("lz4", rb"\x04\x22\x4d\x18", _DECOMPRESS, program="lz4"),
    _foreign("compress", rb"\x1f\x9d", _DECOMPRESS, program="gzip"),
    _foreign("Snappy", rb"\xff\x06\0\0sNaPpY", _DECOMPRESS, program="snzip"),
    _foreign("a zip archive", rb"PK(\x03\x04|\x05\x06|\x07\x08)", _UNPACK),
    _foreign("a 7-Zip archive", rb"7z\xbc\xaf\x27\x1c", _UNPACK),
    _foreign("a RAR archive", rb"Rar!\x1a\x07", _UNPACK),
    _foreign("Avro", rb"Obj\x01", _CONVERT),
    _foreign("an Arrow file", rb"ARROW1\0\0", _CONVERT),
    _foreign("an SQLite database", rb"SQLite format 3\0", _CONVERT),
    _foreign("an Excel file", rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _CONVERT),
    _foreign("a PDF file", rb"%PDF-", _CONVERT),
)


def foreign_format(first: bytes) -> str | None:
    """Return the name of the format and what to do, if a file cannot be shipped as it is.

    Args:
        first: The first bytes of the file; LENGTH of them, unless the file or its first line is
            shorter.

    Returns:
        The end of a sentence, such as "xz; decompress it: …"; None: the format is unknown.
    """
    for name, pattern, remedy in _FORMATS:
        if pattern.match(first):
            return f"{name}; {remedy}"
    return None
