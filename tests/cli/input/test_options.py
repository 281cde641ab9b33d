"""Wrong values of the input options are refused."""

import click
import pytest

from tests.cli.input.files import TABLE, Write, events


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--set", "key"), "must be FIELD=VALUE"),
        (("--set", "metadata.n:int=x"), "'x' is not of type int"),
        (("--key", "a", "--set", "key=b"), "key: a column and --set are mutually exclusive"),
        (("--identities", "--key", "a"), "--identities: an identity has no key"),
        (("--timezone", "Mars/Base"), "'Mars/Base' is not a time zone"),
        (("--timezone", "../../etc/passwd"), "is not a time zone"),
        (("--timestamp-format", "iso"), "or a pattern such as"),
        (("--timestamp-format", "%d %d"), "'%d %d' is not a pattern that can read times"),
        (("--timestamp-format", "%Q"), "'%Q' is not a pattern that can read times"),
        (("--timestamp-format", "%"), "'%' is not a pattern that can read times"),
        (("--timestamp-format", "%G"), "'%G' is not a pattern that can read times"),
        (("--delimiter", "ab"), "must be one ASCII character"),
        (("--encoding", "utf-16"), "convert the file: iconv -f utf-16 -t utf-8"),
        (("--encoding", "utf-7"), "convert the file: iconv -f utf-7 -t utf-8"),
        (("--encoding", "raw_unicode_escape"), "uses escape sequences"),
        (("--encoding", "idna"), "is not a known encoding"),
        (("--encoding", "klingon"), "is not a known encoding"),
    ],
)
def test_wrong_option_values_are_refused(
    write: Write, options: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(click.UsageError) as caught:
        events(write(TABLE), *options)

    assert problem in caught.value.format_message()
