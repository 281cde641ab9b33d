"""Integers that 64 bits cannot hold stay exact, or their rows are bad: none is rounded."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import pyarrow
import pytest
from pyarrow import parquet

from dataart_mp.errors import EventError
from dataart_mp.table.event import Action
from dataart_mp.table.json_text import read_json
from tests.cli.input.files import Write, events, open_file

WIDE = 123456789012345678901234567890
LARGEST, SMALLEST = 2**64 - 1, -(2**63)


def metadata(outcome: object) -> Any:
    """Return the metadata of an event, or the reason why a row is bad."""
    return outcome.metadata if isinstance(outcome, Action) else outcome


@pytest.mark.parametrize("number", [LARGEST, SMALLEST, 2**53 + 1, 0, -1])
def test_64_bits_of_json_lines_arrive_exactly(write: Write, number: int) -> None:
    line = f'{{"key":"k","user_key":"u","metadata":{{"id":{number}}}}}'
    assert metadata(events(write(line, "x.jsonl"))[0]) == {"id": number}


@pytest.mark.parametrize("number", [WIDE, -WIDE, LARGEST + 1, SMALLEST - 1])
@pytest.mark.parametrize("place", ['{"id":%d}', '{"a":[{"b":[1,%d]}]}'])
def test_wider_integers_in_json_lines_make_their_row_bad(
    write: Write, number: int, place: str
) -> None:
    line = '{"key":"k","user_key":"u","metadata":' + place % number + "}"
    reason = events(write(line, "x.jsonl"))[0]
    assert isinstance(reason, str)
    assert f"{number} is wider than 64 bits; make it text: --metadata COLUMN:text" in reason


def test_a_wide_integer_can_be_a_user_key_or_text(write: Write) -> None:
    file = write(f'{{"id":{WIDE},"n":{-WIDE}}}', "x.jsonl")
    options = ("--user-key", "id", "--set", "key=k", "--metadata", "n:text")
    assert events(file, *options) == [Action("k", str(WIDE), metadata={"n": str(-WIDE)})]


def test_long_digits_in_text_and_fractions_are_not_taken_for_integers(write: Write) -> None:
    text = f'{{"a":"{WIDE}","b":0.{WIDE},"c":1e30,"d":[-{2**63 - 1}]}}'
    assert read_json(text) == {"a": str(WIDE), "b": float(f"0.{WIDE}"), "c": 1e30, "d": [1 - 2**63]}


def test_deep_json_with_a_wide_integer_is_a_bad_row() -> None:
    with pytest.raises(EventError, match="nested too deeply"):
        read_json("[" * 1000 + str(WIDE) + "]" * 1000)


@pytest.mark.parametrize(
    ("cell", "kind", "expected"),
    [
        (str(LARGEST), "int", LARGEST),
        (str(SMALLEST), "int", SMALLEST),
        (str(2**53), "float", 2.0**53),
        ("1e30", "float", 1e30),
        ("0.1", "float", 0.1),
        (f"[{LARGEST}]", "json", [LARGEST]),
        (WIDE, "int", f"metadata.n: '{WIDE}' is wider than 64 bits; use the type text"),
        (
            2**53 + 1,
            "float",
            f"metadata.n: '{2**53 + 1}' would be rounded; use the type int or text",
        ),
        (
            f" {WIDE} ",
            "float",
            f"metadata.n: ' {WIDE} ' would be rounded; use the type int or text",
        ),
    ],
)
def test_typed_csv_cells_are_exact_or_bad(
    write: Write, cell: object, kind: str, expected: object
) -> None:
    file = write(f"key,user_key,n\nk,u,{cell}\n")
    found = metadata(events(file, "--metadata", f"n:{kind}")[0])
    assert found == (expected if isinstance(expected, str) else {"n": expected})


def test_a_wide_integer_in_a_json_cell_is_bad(write: Write) -> None:
    file = write(f'key,user_key,metadata\nk,u,"{{""n"":{WIDE}}}"\n')
    assert f"{WIDE} is wider than 64 bits" in str(events(file)[0])


def test_parquet_integers_and_decimals_are_exact(tmp_path: Path) -> None:
    file = tmp_path / "numbers.parquet"
    decimals = pyarrow.array([Decimal(WIDE)], pyarrow.decimal128(38, 0))
    wide = pyarrow.array([Decimal(10**75 + 1)], pyarrow.decimal256(76, 0))
    unsigned = pyarrow.array([LARGEST], pyarrow.uint64())
    columns = {"key": ["k"], "user_key": unsigned, "a": unsigned, "b": decimals, "c": wide}
    parquet.write_table(pyarrow.table(columns), file)

    event = events(file)[0]

    assert isinstance(event, Action)
    assert event.user_key == str(LARGEST)
    assert event.metadata == {"a": LARGEST, "b": Decimal(WIDE), "c": Decimal(10**75 + 1)}
    for kind, problem in (("int", "is wider than 64 bits"), ("float", "would be rounded")):
        assert problem in str(events(file, "--metadata", f"b:{kind}")[0])
    assert "would be rounded" in str(events(file, "--metadata", "a:float")[0])


@pytest.mark.parametrize("value", [f"metadata.n:int={WIDE}", f"metadata.n:float={WIDE}"])
def test_an_inexact_constant_is_a_wrong_option(write: Write, value: str) -> None:
    with pytest.raises(click.BadParameter, match=r"is wider than 64 bits|would be rounded"):
        open_file(write(""), "--set", value)


def test_a_wide_integer_in_a_json_constant_makes_rows_bad(write: Write) -> None:
    file = write('{"key":"k","user_key":"u"}', "x.jsonl")
    assert "wider than 64 bits" in str(events(file, "--set", f"metadata.n:json={WIDE}")[0])
