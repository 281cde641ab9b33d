"""Columns become the fields and metadata of events."""

import pytest

from dataart_mp.cli.input.error import InputError
from dataart_mp.table.event import Action, Identity
from tests.cli.input.files import SHOP, TABLE, Write, events


def test_named_columns_become_the_fields_of_actions(write: Write) -> None:
    assert events(write(TABLE), *SHOP, "--metadata", "price:float") == [
        Action("bought", "17", False, "2021-05-04T10:11:12.123456789+02:00", {"price": 2.5}),
        Action("looked,\nlong", "ann", False, "2021-05-04T10:11:12Z", {"price": None}),
    ]


def test_by_default_columns_are_fields_by_name_and_the_others_metadata(
    write: Write,
) -> None:
    table = "user_key,key,is_anonymous_user,n\nann,play,true,7\nbob,play,0,\n"

    assert events(write(table)) == [
        Action("play", "ann", True, None, {"n": "7"}),
        Action("play", "bob", False, None, {"n": None}),
    ]


def test_constants_are_in_every_event(write: Write) -> None:
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


def test_each_metadata_column_can_have_a_name_and_a_type(write: Write) -> None:
    table = 'user_key,key,a,b,c,d\nann,k,007,yes,"{""x"": 1}",1.5\nann,k,1_0,yes,1,1\n'

    found = events(write(table), "--metadata", "n=a:int,b:bool,c:json,d:text,again=d")

    assert found == [
        Action(
            "k", "ann", False, None, {"n": 7, "b": True, "c": {"x": 1}, "d": "1.5", "again": "1.5"}
        ),
        "metadata.n: '1_0' is not of type int",
    ]


def test_the_fields_of_json_objects_are_columns_too(write: Write) -> None:
    lines = '{"who": 5, "what": "play", "song": {"n": 1}}\n{"who": null, "what": "play"}\n'

    assert events(write(lines, "x.jsonl"), "--user-key", "who", "--key", "what") == [
        Action("play", "5", False, None, {"song": {"n": 1}}),
        "user_key: is missing: column 'who' is empty",
    ]


def test_a_column_named_metadata_is_the_metadata(write: Write) -> None:
    table = 'key,user_key,metadata\nk,ann,"{""a"": 1}"\nk,ann,\nk,ann,[]\n'

    assert events(write(table)) == [
        Action("k", "ann", False, None, {"a": 1}),
        Action("k", "ann", False, None, None),
        "metadata: must be an object, not '[]'",
    ]


@pytest.mark.parametrize(
    ("header", "options", "problem"),
    [
        (
            "user_key,what",
            (),
            "no column 'key' in user_key, what; set --key COLUMN, or --set key=TEXT, or",
        ),
        ("user_key,what", ("--key", "wat"), "--key: no column 'wat' in user_key, what"),
        ("key,user_key", ("--metadata", "a"), "--metadata: no column 'a' in key, user_key"),
        ("key,user_key,metadata,a", (), "columns beside 'metadata' are not used: a; name all with"),
        ("key,user_key,a,a", (), ": the column 'a' is duplicated; name all columns with --columns"),
        ("k,ann,1,2", ("--columns", "key,user_key,a,a"), ": the column 'a' is duplicated"),
        ('key,"x', (), ":1: not CSV: unexpected end of data"),
    ],
)
def test_a_table_with_wrong_columns_is_refused_before_its_first_row(
    write: Write, header: str, options: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(InputError) as caught:
        events(write(header + "\n"), *options)

    assert problem in str(caught.value)
