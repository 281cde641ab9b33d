"""`assert_emitted` finds what was emitted, and shows what is different if nothing was found."""

import re
from datetime import UTC, datetime
from typing import Any
from unittest.mock import ANY
from uuid import UUID

import pytest

from dataart_mp.testing import Action, RecordingClient

NAIVE = datetime(2021, 5, 4, 10, 11, 12)  # noqa: DTZ001 - as an application may pass it
MOMENT = datetime(2021, 5, 4, 10, 11, 12, tzinfo=UTC)
USER_ID = UUID(int=7)


@pytest.fixture
def client() -> RecordingClient:
    client = RecordingClient()
    client.emit_action("signed-up", "ann", True, MOMENT, {"plan": "free", "tags": ("a", "b")})
    client.emit_action("signed-up", "bob", metadata={"plan": "pro", "user": {"id": 1, "age": 30}})
    client.emit_action("played", "ann", metadata={"user": USER_ID, "7": "seven"})
    client.identify("ann", {"plan": "free"})
    return client


@pytest.mark.parametrize(
    "expected",
    [
        {},
        {"user_key": "ann"},
        {"user_key": "ann", "is_anonymous_user": True, "timestamp": MOMENT},
        {"metadata": {"plan": "free", "tags": ["a", "b"]}},
        {"metadata": {"plan": "free", "tags": ("a", "b")}},
        {"metadata": ANY},
        {"metadata__contains": {"tags": ("a", "b")}},
        {"metadata__contains": {"plan": ANY}},
        {"metadata__contains": {"user": {"id": 1}}},
        {"metadata__contains": {}},
        {"metadata": {"plan": "pro", "user": {"id": 1, "age": 30}}, "times": 1},
        {"times": 2},
        {"user_key": "eve", "times": 0},
    ],
    ids=str,
)
def test_what_was_emitted_is_found(client: RecordingClient, expected: dict[str, Any]) -> None:
    client.assert_emitted("signed-up", **expected)


def test_values_are_compared_as_they_arrive(client: RecordingClient) -> None:
    client.assert_emitted("played", metadata={"user": USER_ID, "7": "seven"})
    client.assert_emitted("played", metadata__contains={"user": str(USER_ID)})


@pytest.mark.parametrize(
    "timestamp", [NAIVE, NAIVE.astimezone(), NAIVE.astimezone(UTC).isoformat()], ids=str
)
def test_a_time_is_found_as_it_was_passed(timestamp: datetime | str) -> None:
    """In `emit_action` and in metadata, a time without a zone is local."""
    client = RecordingClient()
    client.emit_action("played", "ann", timestamp=timestamp, metadata={"at": NAIVE, "song": "7"})
    client.assert_emitted("played", timestamp=timestamp, metadata={"at": NAIVE, "song": "7"})
    client.assert_emitted("played", timestamp=NAIVE, metadata__contains={"at": NAIVE.astimezone()})
    later = NAIVE.replace(hour=12)
    with pytest.raises(AssertionError, match=r"timestamp is .*\n    metadata.song is '7'"):
        client.assert_emitted("played", timestamp=later, metadata__contains={"song": MOMENT})


def test_a_part_of_metadata_must_be_a_dict(client: RecordingClient) -> None:
    with pytest.raises(TypeError, match=r"^metadata__contains: must be a dict .* not 'plan'$"):
        client.assert_emitted("signed-up", metadata__contains="plan")  # type: ignore[arg-type]


def test_the_first_action_that_was_found_is_returned(client: RecordingClient) -> None:
    first, second, _ = client.actions
    assert client.assert_emitted("signed-up") == first
    assert client.assert_emitted("signed-up", user_key="bob") == second
    assert client.assert_emitted("unknown", times=0) is None
    assert isinstance(first, Action)


@pytest.mark.parametrize(
    "expected",
    [
        {"user_key": "eve"},
        {"is_anonymous_user": False, "user_key": "ann"},
        {"timestamp": MOMENT.replace(second=13)},
        {"metadata": {"plan": "free"}},
        {"metadata": None},
        {"metadata__contains": {"plan": "free", "more": None}},
        {"metadata__contains": {"user": {"id": 2}}},
        {"metadata__contains": {"tags": ["a"]}},
        {"times": 1},
        {"times": 0},
    ],
    ids=str,
)
def test_what_was_not_emitted_is_not_found(
    client: RecordingClient, expected: dict[str, Any]
) -> None:
    with pytest.raises(AssertionError):
        client.assert_emitted("signed-up", **expected)


def failure(client: RecordingClient, key: str, **expected: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        client.assert_emitted(key, **expected)
    return str(caught.value)


def test_the_message_shows_what_is_different_nearest_first(client: RecordingClient) -> None:
    contained = {"plan": "max", "user": {"id": 1, "name": "Bob"}}
    assert failure(client, "signed-up", user_key="bob", metadata__contains=contained) == (
        "no action was emitted with key 'signed-up', user_key 'bob', "
        "metadata containing {'plan': 'max', 'user': {'id': 1, 'name': 'Bob'}}; nearest first:\n"
        "  signed-up, user_key 'bob'\n"
        "    metadata.plan is 'pro', expected 'max'\n"
        "    metadata.user.name is missing, expected 'Bob'\n"
        "  signed-up, user_key 'ann'\n"
        "    user_key is 'ann', expected 'bob'\n"
        "    metadata.plan is 'free', expected 'max'\n"
        "    metadata.user is missing, expected {'id': 1, 'name': 'Bob'}\n"
        "  played, user_key 'ann'\n"
        "    key is 'played', expected 'signed-up'\n"
        "    user_key is 'ann', expected 'bob'\n"
        "    metadata.plan is missing, expected 'max'\n"
        f"    metadata.user is '{USER_ID}', expected {{'id': 1, 'name': 'Bob'}}"
    )


def test_a_mistyped_key_is_found_among_other_keys(client: RecordingClient) -> None:
    lines = failure(client, "sign-up").splitlines()
    assert lines[1] == "  signed-up, user_key 'ann'"
    assert lines[2] == "    key is 'signed-up', expected 'sign-up'"


def test_keys_that_the_expectation_does_not_name_are_shown(client: RecordingClient) -> None:
    text = failure(client, "signed-up", user_key="ann", metadata={"plan": "free"})
    assert "    metadata.tags is ['a', 'b'], expected none" in text


def test_metadata_that_is_none_is_shown() -> None:
    client = RecordingClient()
    client.emit_action("play", "ann")
    text = failure(client, "play", metadata__contains={"song": 7})
    assert text.endswith("    metadata is None, expected {'song': 7}")


def test_a_wrong_number_is_shown_with_those_that_were_found(client: RecordingClient) -> None:
    text = failure(client, "signed-up", times=3)
    assert text.startswith("2 actions were emitted with key 'signed-up', expected 3; nearest first")
    assert text.count("    as expected; metadata {'plan'") == 2


def test_many_actions_are_shortened(client: RecordingClient) -> None:
    for number in range(20):
        client.emit_action(f"other-{number}", "ann")
    text = failure(client, "signed-off")
    assert text.endswith("  … and 18 more")
    assert len(re.findall("user_key", text)) == 5


def test_a_client_that_recorded_nothing_says_so() -> None:
    text = failure(RecordingClient(), "play")
    assert text == "no action was emitted with key 'play'; no action was emitted at all"


def test_an_expectation_of_an_unknown_field_is_refused(client: RecordingClient) -> None:
    with pytest.raises(TypeError, match="plan"):
        client.assert_emitted("signed-up", plan="free")  # type: ignore[call-arg]


def test_identities_are_found_too(client: RecordingClient) -> None:
    identity = client.assert_identified("ann", metadata__contains={"plan": "free"}, times=1)
    assert identity == client.identities[0]
    with pytest.raises(AssertionError, match="no identity was emitted with user_key 'bob'"):
        client.assert_identified("bob")
    client.identify("ann")
    with pytest.raises(AssertionError, match="2 identities were emitted with user_key 'ann'"):
        client.assert_identified("ann", times=1)
