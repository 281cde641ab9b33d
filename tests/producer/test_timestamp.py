"""What is RFC 3339 is told by shape and calendar; a strict pattern must be of the same opinion."""

import re
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataart_mp.producer import timestamp
from dataart_mp.producer.timestamp import are_rfc_3339, is_rfc_3339

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


@settings(deadline=None, max_examples=200)
@given(texts(), st.sampled_from(NEAR))
def test_a_text_is_a_moment_if_the_strict_pattern_and_the_calendar_say_so(
    text: str, other: str
) -> None:
    expected = is_strictly(text)
    assert is_rfc_3339(text) == expected
    assert are_rfc_3339([text]) == expected
    assert are_rfc_3339([text, text]) == expected
    assert are_rfc_3339([other, text]) == (expected and is_strictly(other))


@pytest.mark.parametrize("text", ["2021-05-04T24:00:00Z", "2021-05-04T24:00:00.000+00:00"])
def test_hour_24_is_refused_where_python_reads_it_too(
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
