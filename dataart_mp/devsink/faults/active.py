"""The fault rules in force, and which of them fires for a request."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dataart_mp.devsink.faults.rule import FaultRule
    from dataart_mp.devsink.protocol.payload import Payload


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens to one request.

    Attributes:
        latency: Seconds to wait first.
        rule: The rule that decides; None: the request is accepted.
    """

    latency: float = 0.0
    rule: FaultRule | None = None


_NO_FAULT: Final = Plan()


class ActiveFaults:
    """The rules in force, tried in order: latencies add up, the first other rule decides.

    Attributes:
        changed: Set when the rules are replaced; requests that hang then end.
    """

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self._active: list[_ActiveRule] = []
        self._numbers = itertools.count(1)

    def replace(self, rules: Iterable[FaultRule]) -> None:
        """Replace all rules with these."""
        self._set(self._numbered(rules))

    def add(self, rules: Iterable[FaultRule]) -> None:
        """Append these rules to the ones in force."""
        self._active += self._numbered(rules)

    def remove(self, number: int) -> bool:
        """Remove the rule with this number; return False if there is none."""
        rest = [active for active in self._active if active.number != number]
        found = len(rest) < len(self._active)
        if found:
            self._set(rest)
        return found

    def plan(self, payload: Payload, size: int) -> Plan:
        """Decide about a request of `size` bytes; call it once, as rules count their use."""
        if not self._active:
            return _NO_FAULT
        latency = 0.0
        for active in self._active:
            if not active.fires(payload, size):
                continue
            if active.rule.kind != "latency":
                return Plan(latency, active.rule)
            latency += active.rule.seconds or 0.0
        return Plan(latency)

    def as_json(self) -> list[dict[str, Any]]:
        """Return the rules, each with its number and how often it fired."""
        return [active.as_json() for active in self._active]

    def _numbered(self, rules: Iterable[FaultRule]) -> list[_ActiveRule]:
        return [_ActiveRule(next(self._numbers), rule) for rule in rules]

    def _set(self, active: list[_ActiveRule]) -> None:
        self._active = active
        self.changed.set()
        self.changed = asyncio.Event()


class _ActiveRule:
    def __init__(self, number: int, rule: FaultRule) -> None:
        self.number = number
        self.rule = rule
        self._fired = 0
        # Reproducible on purpose; not used for secrets.
        self._random = random.Random(rule.seed)  # noqa: S311
        seconds = rule.for_seconds
        self._end = None if seconds is None else time.monotonic() + seconds

    @property
    def _is_spent(self) -> bool:
        if self._end is not None and time.monotonic() >= self._end:
            return True
        return self.rule.times is not None and self._fired >= self.rule.times

    def fires(self, payload: Payload, size: int) -> bool:
        if self._is_spent or not self._applies_to(payload, size):
            return False
        if self._random.random() >= self.rule.rate:
            return False
        self._fired += 1
        return True

    def as_json(self) -> dict[str, Any]:
        given = {name: value for name, value in asdict(self.rule).items() if value is not None}
        return {"number": self.number, **given, "fired": self._fired, "spent": self._is_spent}

    def _applies_to(self, payload: Payload, size: int) -> bool:
        rule = self.rule
        if rule.path is not None and rule.path != payload.kind:
            return False
        if rule.over is not None and size <= rule.over:
            return False
        return rule.match is None or any(_matches(rule.match, item) for item in payload.items)


def _matches(pattern: Any, value: Any) -> bool:
    """Return whether a value equals the pattern, or is an object with all the pattern's fields."""
    if isinstance(pattern, dict) and isinstance(value, dict):
        return all(name in value and _matches(part, value[name]) for name, part in pattern.items())
    # 1 is not true: JSON distinguishes them, Python does not.
    return bool(pattern == value) and isinstance(pattern, bool) is isinstance(value, bool)
