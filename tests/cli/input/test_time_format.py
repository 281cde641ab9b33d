"""Timestamps in all formats."""

import datetime

import pytest

from dataart_mp.table.event import Action
from dataart_mp.table.time_format import TimeFormat
from tests.cli.input.files import Write, events


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
def test_timestamps_are_read_in_their_format(
    write: Write, options: tuple[str, ...], text: str, moment: str
) -> None:
    (event,) = events(write(f"user_key,key,timestamp\nann,k,{text}\n"), *options)

    assert isinstance(event, Action)
    assert isinstance(event.timestamp, datetime.datetime)
    assert event.timestamp.isoformat() == moment


@pytest.mark.parametrize(
    ("options", "text", "problem"),
    [
        ((), "2021-05-04 10:11:12", "has no UTC offset; set --timezone, for example UTC"),
        ((), "yesterday", "'yesterday' is not RFC 3339; set --timestamp-format"),
        ((), "", "timestamp: is missing: column 'timestamp' is empty"),
        (
            ("--timestamp-format", "unix"),
            "1e999",
            "is not Unix time in the unit of --timestamp-format",
        ),
        (
            ("--timestamp-format", "unix"),
            "NaN",
            "is not Unix time in the unit of --timestamp-format",
        ),
        (("--timestamp-format", "%Y"), "x", "does not match --timestamp-format '%Y'"),
    ],
)
def test_an_invalid_timestamp_makes_a_bad_row(
    write: Write, options: tuple[str, ...], text: str, problem: str
) -> None:
    (found,) = events(write(f'user_key,key,timestamp\nann,k,"{text}"\n'), *options)

    assert isinstance(found, str)
    assert problem in found


@pytest.mark.parametrize(
    "pattern",
    ["%d.%m.%Y %H:%M", "%Y-%m-%dT%H:%M:%S.%f%z", "%I:%M %p, %a %d %b %y", "%c %Z", "%%%Y%j"],
)
def test_patterns_that_can_read_times_are_accepted(pattern: str) -> None:
    assert TimeFormat(pattern).format == pattern
