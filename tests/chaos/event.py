"""An event of the harness. It differs from every other event, and a torn one is recognized."""

from typing import Any, Final

KEY: Final = "tick"
_PATTERN: Final = '0123456789 \u00e4\u00f6\u00fc \u0442\u0438\u043a \\"quoted\\" \U0001f422\n' * 120
_LARGEST: Final = 2000
_LARGE_EVERY: Final = 250
_USUAL: Final = 120


def identifier(run: str, producer: int, number: int) -> str:
    """Return the event's `_id`: the run, the producer thread, and the number of the event."""
    return f"{run}-{producer}-{number}"


def parse(identifier: object) -> tuple[str, int, int] | None:
    """Return the arguments of the `identifier` call; None if this is not an identifier."""
    if not isinstance(identifier, str):
        return None
    run, *numbers = identifier.split("-")
    if len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
        return None
    return run, int(numbers[0]), int(numbers[1])


def metadata(run: str, producer: int, number: int) -> dict[str, Any]:
    """Return the metadata of the event: its `_id`, and a text that depends on it."""
    large = number % _LARGE_EVERY == 0
    length = _LARGEST if large else (producer * 31 + number * 7) % _USUAL
    start = (producer + number) % 97
    return {"_id": identifier(run, producer, number), "text": _PATTERN[start : start + length]}
