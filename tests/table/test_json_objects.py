"""A text is sent as it is if, and only if, it is one JSON object on one line."""

import json
from typing import Any

import hypothesis.strategies as st
import orjson
import pyarrow
import pytest
from hypothesis import example, given

from dataart_mp.table.json_objects import json_objects

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(), SCALARS, max_size=2)
OBJECTS = st.builds(
    json.dumps,
    st.dictionaries(st.text(), VALUES, max_size=4),
    ensure_ascii=st.booleans(),
    separators=st.sampled_from([None, (",", ":")]),
)
PIECES = st.sampled_from([*'{}[],:" \\\n\r\t\0u-+.eE019aD', "null", "1e400", "\\u00e9", "\\ud83d"])


@st.composite
def damaged_objects(draw: st.DrawFn) -> str:
    """An object with a piece inserted, or with some of its text cut out."""
    text: str = draw(OBJECTS)
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    piece: str = draw(PIECES)
    return text[:start] + piece + text[draw(st.sampled_from([start, end])) :]


def is_object(text: str) -> bool:
    if not (text[:1] == "{" and text[-1:] == "}") or any(letter < " " for letter in text):
        return False
    try:
        return type(orjson.loads(text)) is dict
    except orjson.JSONDecodeError:
        return False


def accepted(texts: list[str | None]) -> list[bool]:
    """Whether each text is sent as it is."""
    column = json_objects(pyarrow.array(texts, pyarrow.string()))
    assert column is not None
    (array,) = column.parts
    assert array.to_pylist() == texts
    doubtful: Any = column.doubtful
    return [True] * len(texts) if doubtful is None else [not each for each in doubtful.to_pylist()]


@given(st.lists(OBJECTS | damaged_objects() | st.text(), max_size=4))
@example(['{"a":1},{"b":2}', '{"a":[{}', "{}]}"])
def test_what_is_not_an_object_on_one_line_is_doubtful(texts: list[str]) -> None:
    assert accepted([*texts, None]) == [*map(is_object, texts), True]


@pytest.mark.parametrize("zeros", [17, 18, 19, 20, 307, 308, 309])
@pytest.mark.parametrize("number", ["1{}", "-1{}", "1{}.5", "0.{}1", "1e{}1", "1{}e1", "01{}"])
def test_a_number_out_of_the_range_of_floats_is_doubtful(number: str, zeros: int) -> None:
    text = f'{{"n":{number.format("0" * zeros)}}}'
    assert accepted([text]) == [is_object(text)]


@pytest.mark.parametrize("exponent", [*range(96, 103), *range(305, 312)])
@pytest.mark.parametrize("sign", ["", "+", "-"])
def test_an_exponent_out_of_the_range_of_floats_is_doubtful(exponent: int, sign: str) -> None:
    text = f'{{"n": 9.9E{sign}{exponent}}}'
    assert accepted([text, text]) == [is_object(text)] * 2


@pytest.mark.parametrize(
    "escaped", [r"\u0041", r"\ud83d\ude00", r"\ud83d", r"\ude00", r"\uD7ff", r"\x41", r"\u12", "\\"]
)
def test_an_escape_that_stands_for_no_character_is_doubtful(escaped: str) -> None:
    text = f'{{"name":"{escaped}"}}'
    assert accepted([text]) == [is_object(text)]
