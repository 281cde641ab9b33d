"""What a test expects of emitted events, and a readable description of what is different.

no action was emitted with key 'signed-up', metadata containing {'plan': 'pro'}; nearest first:
  signed-up, user_key 'ann'
    metadata.plan is 'free', expected 'pro'
  sign-up-failed, user_key 'ann'
    key is 'sign-up-failed', expected 'signed-up'
    metadata is None, expected one with plan 'pro'
"""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from dataart_mp.errors import EventError, short_repr
from dataart_mp.producer.encoder import encode_identity

Event = Mapping[str, Any]

_MOST_SHOWN: Final = 5
_MISSING: Final = object()


class Anything:
    """Stands for a field about which a test expects nothing."""

    def __repr__(self) -> str:
        return "ANYTHING"


ANYTHING: Final = Anything()


@dataclass(frozen=True)
class Expectation:
    """Which events a test expects.

    Attributes:
        noun: What the events are: `action` or `identity`.
        fields: Expected values by the names of fields.
        contained: What the metadata must contain, apart from other keys.
    """

    noun: str
    fields: Mapping[str, Any]
    contained: Mapping[str, Any]

    def find(self, events: Sequence[Event]) -> list[Event]:
        """Return the events that are as expected, in their order."""
        return [event for event in events if not self.differences(event)]

    def differences(self, event: Event) -> list[str]:
        """Describe, in one line each, what is different from the expectation; empty if nothing."""
        lines: list[str] = []
        for name, expected in self.fields.items():
            lines += _differences(name, event.get(name, _MISSING), expected, exactly=True)
        if self.contained:
            actual = event.get("metadata")
            lines += _differences("metadata", actual, self.contained, exactly=False)
        return lines

    def __str__(self) -> str:
        parts = [f"{name} {short_repr(value)}" for name, value in self.fields.items()]
        if self.contained:
            parts.append(f"metadata containing {short_repr(dict(self.contained), 200)}")
        return ", ".join(parts)

    def describe_failure(self, events: Sequence[Event], found: int, times: int | None) -> str:
        """Return the message of the assertion that failed.

        Args:
            events: All events that were emitted.
            found: How many of them are as expected.
            times: How many were expected; None: at least one.
        """
        count = f"{found}" if found else "no"
        many = self.noun if found == 1 else {"identity": "identities"}.get(self.noun, "actions")
        amount = f"{count} {many if found else self.noun}"
        verb = "was" if found <= 1 else "were"
        wanted = "" if times is None else f", expected {times}"
        text = f"{amount} {verb} emitted with {self}{wanted}"
        if not events:
            return f"{text}; no {self.noun} was emitted at all"
        ranked = sorted(events, key=self._distance)
        lines = [f"{text}; nearest first:"]
        for event in ranked[:_MOST_SHOWN]:
            lines += self._shown(event)
        if len(ranked) > _MOST_SHOWN:
            lines.append(f"  … and {len(ranked) - _MOST_SHOWN} more")
        return "\n".join(lines)

    def _distance(self, event: Event) -> float:
        wanted, actual = self.fields.get("key"), event.get("key")
        alike = 1.0
        if isinstance(wanted, str) and isinstance(actual, str):
            alike = difflib.SequenceMatcher(None, wanted, actual).ratio()
        return len(self.differences(event)) + 1 - alike

    def _shown(self, event: Event) -> Iterator[str]:
        name = f"{event['key']}, " if "key" in event else ""
        yield f"  {name}user_key {short_repr(event['user_key'])}"
        differences = self.differences(event)
        for line in differences:
            yield f"    {line}"
        if not differences:
            yield f"    as expected; metadata {short_repr(event['metadata'], 200)}"


def _differences(path: str, actual: Any, expected: Any, *, exactly: bool) -> Iterator[str]:
    if _equal(actual, expected):
        return
    if actual is _MISSING:
        yield f"{path} is missing, expected {short_repr(expected)}"
    elif isinstance(expected, Mapping) and isinstance(actual, Mapping):
        for key, value in expected.items():
            yield from _differences(
                f"{path}.{key}", actual.get(str(key), _MISSING), value, exactly=exactly
            )
        if exactly:
            for key in actual.keys() - {str(key) for key in expected}:
                yield f"{path}.{key} is {short_repr(actual[key])}, expected none"
    else:
        yield f"{path} is {short_repr(actual)}, expected {short_repr(expected)}"


def _equal(actual: Any, expected: Any) -> bool:
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        return actual.keys() == {str(key) for key in expected} and all(
            _equal(actual[str(key)], value) for key, value in expected.items()
        )
    if isinstance(actual, datetime) or isinstance(expected, datetime):
        moment = _moment(actual)  # text, in an event of the sink and in metadata
        if moment is not None and moment == _moment(expected):
            return True
    return bool(actual == expected) or bool(actual == _as_emitted(expected))


def _moment(value: Any) -> datetime | None:
    """Return the time that a value stands for in an event; None if it is not a time."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value.astimezone() if value.tzinfo is None else value  # without a zone, it is local


def _as_emitted(value: Any) -> Any:
    """Return a value as it would arrive in metadata: a tuple as a list, a UUID as text."""
    try:
        return json.loads(encode_identity("any", {"value": value}))["metadata"]["value"]
    except EventError:  # it compares itself, such as `unittest.mock.ANY`
        return value


def expect_action(
    key: str,
    *,
    user_key: Any = ANYTHING,
    is_anonymous_user: Any = ANYTHING,
    timestamp: Any = ANYTHING,
    metadata: Any = ANYTHING,
    metadata__contains: Mapping[str, Any] | None = None,
) -> Expectation:
    """Expect actions with this key. See `testing.RecordingClient.assert_emitted`."""
    fields = {
        "key": key,
        "user_key": user_key,
        "is_anonymous_user": is_anonymous_user,
        "timestamp": timestamp,
        "metadata": metadata,
    }
    return _expectation("action", fields, metadata__contains)


def expect_identity(
    user_key: str,
    *,
    metadata: Any = ANYTHING,
    metadata__contains: Mapping[str, Any] | None = None,
) -> Expectation:
    """Expect identities of this user. See `testing.RecordingClient.assert_identified`."""
    fields = {"user_key": user_key, "metadata": metadata}
    return _expectation("identity", fields, metadata__contains)


def check(expectation: Expectation, events: Sequence[Event], times: int | None) -> list[Event]:
    """Return the events that are as expected.

    Args:
        expectation: What is expected.
        events: All events that were emitted.
        times: How many are expected; None: at least one.

    Raises:
        AssertionError: There are more or fewer; the message shows what is different.
    """
    __tracebackhide__ = True  # pytest then shows the line of the test
    found = expectation.find(events)
    if bool(found) if times is None else len(found) == times:
        return found
    raise AssertionError(expectation.describe_failure(events, len(found), times))


def _expectation(
    noun: str, fields: Mapping[str, Any], contained: Mapping[str, Any] | None
) -> Expectation:
    if contained is not None and not isinstance(contained, Mapping):
        raise TypeError(
            f"metadata__contains: must be a dict of keys and values, not {short_repr(contained)}"
        )
    given = {name: value for name, value in fields.items() if value is not ANYTHING}
    return Expectation(noun, given, contained or {})
