"""Encode one event, and return the decoded record or the error."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dataart_mp.errors import EventError
from dataart_mp.producer.encoder import encode_action
from tests.producer.samples import MOMENT


def decoded(metadata: object) -> Any:
    """Return metadata after encoding and decoding."""
    record = encode_action("k", "u", False, MOMENT, metadata)
    assert_is_one_line(record)
    return json.loads(record)["metadata"]


def arrived(value: object) -> Any:
    """Return a value of metadata after encoding and decoding."""
    return decoded({"value": value})["value"]


def refusal(*arguments: object, **named: object) -> EventError:
    """Return the error of an action that cannot be encoded."""
    with pytest.raises(EventError) as caught:
        encode_action(*arguments, **named)  # type: ignore[arg-type, unused-ignore]
    return caught.value


def refused(metadata: object) -> EventError:
    """Return the error of metadata that cannot be encoded."""
    return refusal("k", "u", False, MOMENT, metadata)


def attempt(encode: Callable[..., bytes], *arguments: object) -> bytes | EventError:
    """Return the record, or the error."""
    try:
        return encode(*arguments)
    except EventError as error:
        return error


def assert_is_one_line(record: bytes) -> None:
    assert record.find(b"\n") == len(record) - 1
    assert b"\0" not in record
