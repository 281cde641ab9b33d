"""A timestamp is sent with its offset, or refused."""

# ruff: noqa: DTZ001 - naive datetimes are under test

import json
import re
import time
from collections import UserString
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataart_mp.producer import encoder, timestamp
from dataart_mp.producer.encoder import encode_action
from dataart_mp.producer.timestamp import are_rfc_3339, is_rfc_3339
from tests.producer.encoding import refusal
from tests.producer.samples import Lazy, Nanoseconds, NotATime, Text, Translated


def timestamp_of(timestamp: object) -> str:
    """Return a timestamp as it is sent."""
    text = json.loads(encode_action("k", "u", False, timestamp, None))["timestamp"]
    assert isinstance(text, str)
    return text


class Plain(datetime):
    pass


class Chatty(datetime):
    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        return f"about {super().isoformat(sep, timespec)}"


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_missing_timestamp_is_the_current_time() -> None:
    before = datetime.now(UTC)
    timestamp = datetime.fromisoformat(timestamp_of(None))
    assert before <= timestamp <= datetime.now(UTC)
    assert timestamp.utcoffset() == timedelta(0)


def test_a_frozen_clock_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Frozen(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Frozen":
            return cls(2000, 1, 1, tzinfo=tz)

    monkeypatch.setattr(encoder, "datetime", Frozen)
    assert timestamp_of(None) == "2000-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("zone", "offset"),
    [
        (UTC, "+00:00"),
        (timezone(timedelta(hours=-3, minutes=-30)), "-03:30"),
        (ZoneInfo("Europe/Berlin"), "+02:00"),
        (ZoneInfo("UTC"), "+00:00"),
    ],
    ids=str,
)
def test_an_aware_datetime_is_sent_unchanged(zone: tzinfo, offset: str) -> None:
    moment = datetime(2021, 5, 4, 10, 11, 12, 5, tzinfo=zone)
    assert timestamp_of(moment) == f"2021-05-04T10:11:12.000005{offset}"


@pytest.mark.usefixtures("berlin")
def test_a_naive_timestamp_is_local_time_and_gets_its_offset() -> None:
    assert timestamp_of(datetime(2021, 5, 4, 10, 11)) == "2021-05-04T10:11:00+02:00"
    assert timestamp_of(datetime(2021, 1, 4, 10, 11)) == "2021-01-04T10:11:00+01:00"


@pytest.mark.usefixtures("berlin")
def test_fold_distinguishes_the_two_hours_when_a_clock_is_set_back() -> None:
    assert timestamp_of(datetime(2021, 10, 31, 2, 30)) == "2021-10-31T02:30:00+02:00"
    assert timestamp_of(datetime(2021, 10, 31, 2, 30, fold=1)) == "2021-10-31T02:30:00+01:00"


@pytest.mark.usefixtures("berlin")
def test_a_timestamp_whose_zone_has_no_offset_is_naive() -> None:
    class Nowhere(tzinfo):
        def dst(self, dt: datetime | None) -> None:
            return None

        def tzname(self, dt: datetime | None) -> None:
            return None

        def utcoffset(self, dt: datetime | None) -> None:
            return None

    assert timestamp_of(datetime(2021, 5, 4, tzinfo=Nowhere())) == "2021-05-04T00:00:00+02:00"


@pytest.mark.parametrize(("fold", "utc"), [(0, "01:30:00"), (1, "00:30:00")])
@pytest.mark.usefixtures("berlin")
def test_a_time_that_a_clock_skips_is_the_same_instant_for_each_class_of_datetime(
    fold: int, utc: str
) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    expected = datetime.fromisoformat(f"2024-03-31T{utc}+00:00")
    for kind in (datetime, Plain, Nanoseconds, Chatty):
        for zone in (None, berlin):
            value = kind(2024, 3, 31, 2, 30, tzinfo=zone, fold=fold)
            for each in (value, Lazy(value)):
                sent = datetime.fromisoformat(timestamp_of(each).replace("789", ""))
                assert abs(sent - expected) < timedelta(seconds=1)


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize("kind", [datetime, Nanoseconds])
def test_a_naive_time_is_the_same_instant_as_with_the_local_zone(kind: type[datetime]) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    for day in (28, 31):
        for hour in range(24):
            for fold in (0, 1):
                for month in (3, 10):
                    naive = kind(2021, month, day, hour, 30, fold=fold)
                    aware = datetime(2021, month, day, hour, 30, fold=fold, tzinfo=berlin)
                    sent = datetime.fromisoformat(timestamp_of(naive))
                    assert abs(sent - aware.astimezone(UTC)) < timedelta(seconds=1), naive


def test_an_offset_with_seconds_is_converted_to_utc() -> None:
    before_railways = datetime(1850, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    assert timestamp_of(before_railways) == "1849-12-31T23:06:32+00:00"


@pytest.mark.usefixtures("berlin")
def test_a_subclass_of_datetime_keeps_its_nanoseconds() -> None:
    aware = Nanoseconds(2021, 5, 4, 10, 11, 12, 123456, tzinfo=UTC)
    assert timestamp_of(aware) == "2021-05-04T10:11:12.123456789+00:00"
    naive = Nanoseconds(2021, 5, 4, 10, 11, 12, 123456)
    assert timestamp_of(naive) == "2021-05-04T10:11:12.123456789+02:00"


@pytest.mark.usefixtures("berlin")
def test_a_subclass_of_datetime_with_seconds_in_its_offset_is_converted_to_utc() -> None:
    assert timestamp_of(Nanoseconds(1850, 1, 1)) == "1849-12-31T23:06:32+00:00"


def test_a_subclass_of_datetime_with_another_isoformat_is_sent_as_a_datetime() -> None:
    assert timestamp_of(Chatty(2021, 5, 4, 10, tzinfo=UTC)) == "2021-05-04T10:00:00+00:00"


def test_nat_is_refused_as_a_timestamp() -> None:
    assert refusal("k", "u", False, NotATime(2021, 5, 4, tzinfo=UTC)).path == "timestamp"


@pytest.mark.parametrize(
    "text",
    [
        "2021-05-04T10:11:12Z",
        "2021-05-04T10:11:12+02:00",
        "2021-05-04T10:11:12.1-11:30",
        "2021-05-04T10:11:12.123456789+02:00",
        "2024-02-29T23:59:59Z",
        "0001-01-01T00:00:00Z",
    ],
)
def test_rfc_3339_text_is_sent_unchanged(text: str) -> None:
    assert timestamp_of(text) == text
    for other in (Text(text), UserString(text), Lazy(text), Translated(text)):
        assert timestamp_of(other) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2021-05-04",
        "2021-05-04T10:11:12",
        "2021-05-04T10:11Z",
        "2021-05-04 10:11:12Z",
        "2021-05-04t10:11:12z",
        "2021-05-04T10:11:12.Z",
        "2021-05-04T10:11:12,5Z",
        "2021-05-04T10:11:12Z\n",
        "2021-05-04T10:11:12+0200",
        "2021-05-04T10:11:12+24:00",
        "2021-05-04T10:11:12+02:60",
        "2021-02-29T10:11:12Z",
        "2021-13-01T10:11:12Z",
        "2021-05-04T24:00:00Z",
        "2021-05-04T10:11:60Z",
        "0000-01-01T00:00:00Z",
        "٢٠٢١-05-04T10:11:12Z",
        "20210504T101112Z",
    ],
)
def test_other_text_is_refused_with_an_example(text: str) -> None:
    error = refusal("k", "u", False, text)
    assert error.path == "timestamp"
    assert "2021-05-04T10:11:12.5+02:00" in str(error)


@pytest.mark.parametrize(
    ("value", "fix"),
    [
        (1620123072, "datetime.fromtimestamp"),
        (1620123072.5, "datetime.fromtimestamp"),
        (date(2021, 5, 4), "a date has no time of day"),
        (np.datetime64("2021-05-04"), "pass an aware datetime"),
        (b"2021-05-04T10:11:12Z", "pass an aware datetime"),
        ([], "pass an aware datetime"),
    ],
    ids=repr,
)
def test_a_value_that_is_not_a_timestamp_is_refused_with_a_fix(value: object, fix: str) -> None:
    error = refusal("k", "u", False, value)
    assert error.path == "timestamp"
    assert fix in str(error)


def test_an_exception_of_a_time_zone_is_the_cause() -> None:
    class Broken(tzinfo):
        def dst(self, dt: datetime | None) -> None:
            return None

        def tzname(self, dt: datetime | None) -> None:
            return None

        def utcoffset(self, dt: datetime | None) -> timedelta:
            raise RuntimeError("no offset today")

    error = refusal("k", "u", False, datetime(2021, 5, 4, tzinfo=Broken()))
    assert error.path == "timestamp"
    assert isinstance(error.__cause__, RuntimeError)


def test_a_timestamp_before_year_1_in_utc_is_refused() -> None:
    first = datetime(1, 1, 1, tzinfo=timezone(timedelta(seconds=1)))
    assert refusal("k", "u", False, first).path == "timestamp"


# --- RFC 3339 ---------------------------------------------------------------------------------


STRICT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T((?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])(?:\.[0-9]+)?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
NEAR = [
    "2021-05-04T10:11:12Z",
    "2021-05-04T10:11:12.5+02:00",
    "2021-05-04T10:11:12.123456+00:00",
    "2021-05-04T10:11:12.1234567891-23:59",
    "2024-02-29T23:59:59.123Z",
    "2021-02-29T00:00:00Z",
    "2021-05-04T24:00:00Z",
    "2021-05-04T10:11:12+10:75",
    "2021-W18-2T10:11:12Z",
    "20210504T101112Z",
]


def is_strictly(text: str) -> bool:
    match = STRICT.fullmatch(text)
    try:
        return match is not None and bool(datetime.fromisoformat(f"{match[1]}T{match[2]}+00:00"))
    except ValueError:
        return False


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Moments, and what is one or two letters away from one."""
    text = draw(st.sampled_from(NEAR))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text) - 1))
        letter = draw(st.sampled_from([*"0123456789:-+.,TZW \n", "", "\ud800", "\u0663", "\0"]))
        text = text[:at] + letter + text[at + draw(st.integers(0, 1)) :]
    return text


@settings(max_examples=200)
@given(texts(), st.sampled_from(NEAR))
def test_text_is_a_timestamp_exactly_if_a_strict_pattern_and_the_calendar_accept_it(
    text: str, other: str
) -> None:
    expected = is_strictly(text)
    assert is_rfc_3339(text) == expected
    assert are_rfc_3339([text]) == expected
    assert are_rfc_3339([text, text]) == expected
    assert are_rfc_3339([other, text]) == (expected and is_strictly(other))


@pytest.mark.parametrize("text", ["2021-05-04T24:00:00Z", "2021-05-04T24:00:00.000+00:00"])
def test_hour_24_is_refused_even_if_python_accepts_it(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timestamp, "_READS_HOUR_24", True)
    monkeypatch.setattr(
        timestamp, "_parse", lambda text: datetime.fromisoformat(text.replace("T24", "T00"))
    )
    usual = text.replace("T24", "T12")
    assert is_rfc_3339(usual)
    assert not is_rfc_3339(text)
    assert not are_rfc_3339([usual, text])
