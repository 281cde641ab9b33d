"""Events that a client refuses are explained in terms of rows and options."""

import datetime
from decimal import Decimal
from typing import Any

import pytest

from dataart_mp import ClientConfig
from dataart_mp.cli.dry_run_client import DryRunClient
from dataart_mp.cli.input.emitter import emit
from dataart_mp.errors import EventError
from dataart_mp.table.event import Action, Identity

NESTED: dict[str, Any] = {}
for _ in range(300):
    NESTED = {"n": NESTED}

CLIENT = DryRunClient(ClientConfig("k", max_request_bytes=4096))


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        (Identity(""), "user_key: must not be empty"),
        (Action("k", 1.5), "user_key: must be text, not 1.5"),  # type: ignore[arg-type]
        (Action("\udcff", "u"), "key: '\\udcff' is not valid text in its encoding; set --encoding"),
        (Action("k", "u", "no"), "is_anonymous_user: must be true or false, not 'no'"),  # type: ignore[arg-type]
        (
            Action("k", "u", False, "2021-05-04T10:11:12"),
            "timestamp: '2021-05-04T10:11:12' has no UTC offset; set --timezone, for example UTC",
        ),
        (
            Action("k", "u", False, "2021-05-04 10:11:12Z"),
            "timestamp: '2021-05-04 10:11:12Z' is not RFC 3339 with a UTC offset; "
            "set --timestamp-format",
        ),
        (
            Action("k", "u", False, "yesterday"),
            "timestamp: 'yesterday' is not RFC 3339; set --timestamp-format",
        ),
        (Identity("u", [1]), "metadata: must be an object, not [1]"),  # type: ignore[arg-type]
        (Identity("u", NESTED), "metadata: is nested too deeply; flatten it"),
        (
            Identity("u", {"a": 1, "b\udcff": 2}),
            "metadata: the name 'b\\udcff' is not valid text in its encoding; set --encoding",
        ),
        (
            Identity("u", {"a": 1, "b": "\udcff"}),
            "metadata.b: '\\udcff' is not valid text in its encoding; set --encoding",
        ),
        (
            Identity("u", {"a": 1, "b": datetime.timedelta(1)}),
            "metadata.b: 1 day, 0:00:00 cannot be written as JSON; "
            "convert the column, or leave it out with --metadata",
        ),
        (
            Identity("u", {"a": [1, {"b": b"\x00\xff"}]}),
            "metadata.a[1].b: 0x00ff cannot be written as JSON; "
            "convert the column, or leave it out with --metadata",
        ),
        (
            Identity("u", {"a": [1, {"b": 2**64}]}),
            "metadata.a[1].b: 18446744073709551616 is wider than 64 bits; "
            "make it text: --metadata COLUMN:text",
        ),
        (
            Identity("u", {"a": {"b": ["\udcff"]}}),
            "metadata.a.b[0]: '\\udcff' is not valid text in its encoding; set --encoding",
        ),
        (Action("k", True), "user_key: must be text, not true"),  # type: ignore[arg-type]
        (Action("k", None), "user_key: must be text, not null"),  # type: ignore[arg-type]
        (Action("k", {"a": None}), 'user_key: must be text, not {"a": null}'),  # type: ignore[arg-type]
        (Action("k", Decimal("1.5")), "user_key: must be text, not 1.5"),  # type: ignore[arg-type]
        (
            Action("k", "u", timestamp=Decimal(17)),  # type: ignore[arg-type]
            "timestamp: 17 is not text; set --timestamp-format to its unit: "
            "unix, unix-ms, unix-us, unix-ns",
        ),
        (
            Identity("u", {"a": "x" * 5000}),
            "the event takes 5,037 bytes, more than a request holds; shorten its metadata, or set "
            "DATAART_MAX_REQUEST_BYTES",
        ),
    ],
)
def test_a_refused_event_is_explained_by_field_value_and_fix(
    event: Action | Identity, problem: str
) -> None:
    with pytest.raises(EventError) as caught:
        emit(event, CLIENT)

    assert str(caught.value) == problem
