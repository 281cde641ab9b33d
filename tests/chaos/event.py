"""An event of the harness: it can be told from every other, and whole from torn."""

from typing import Any, Final

KEY: Final = "tick"
_PATTERN: Final = '0123456789 \u00e4\u00f6\u00fc \u0442\u0438\u043a \\"quoted\\" \U0001f422\n' * 120
_LARGEST: Final = 2000
_LARGE_EVERY: Final = 250
_USUAL: Final = 120


def identifier(run: str, producer: int, number: int) -> str:
    """The event's `_id`: which run, which thread of which process, and which of its events."""
    return f"{run}-{producer}-{number}"


def parse(identifier: object) -> tuple[str, int, int] | None:
    """What `identifier` was made of; None when it is no identifier."""
    if not isinstance(identifier, str):
        return None
    run, *numbers = identifier.split("-")
    if len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
        return None
    return run, int(numbers[0]), int(numbers[1])


def metadata(run: str, producer: int, number: int) -> dict[str, Any]:
    """What the event carries: its `_id`, and a text that nobody else's event has just so."""
    large = number % _LARGE_EVERY == 0
    length = _LARGEST if large else (producer * 31 + number * 7) % _USUAL
    start = (producer + number) % 97
    return {"_id": identifier(run, producer, number), "text": _PATTERN[start : start + length]}
