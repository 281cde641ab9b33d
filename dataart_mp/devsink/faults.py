"""The rules in force, and what they say about a request."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dataart_mp.devsink.fault import FaultRule
    from dataart_mp.devsink.parcel import Parcel


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens to one request.

    Attributes:
        latency: Seconds to wait first.
        rule: What happens then; None: it is accepted.
    """

    latency: float = 0.0
    rule: FaultRule | None = None


_NO_FAULT: Final = Plan()


class Faults:
    """The rules in force, asked in order: latencies add up, the first of the others decides.

    Attributes:
        changed: Set when these rules are no longer in force; what hangs by them lets go.
    """

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self._armed: list[_ArmedRule] = []
        self._numbers = itertools.count(1)

    def replace(self, rules: Iterable[FaultRule]) -> None:
        """Put these rules in force instead of all others."""
        self._put(self._new(rules))

    def add(self, rules: Iterable[FaultRule]) -> None:
        """Put these rules in force after the others."""
        self._armed += self._new(rules)

    def remove(self, number: int) -> bool:
        """Put one rule out of force; False: there is none of this number."""
        left = [armed for armed in self._armed if armed.number != number]
        is_there = len(left) < len(self._armed)
        if is_there:
            self._put(left)
        return is_there

    def plan(self, parcel: Parcel, size: int) -> Plan:
        """Decide about a request, once: rules with `times` and `rate` count it."""
        if not self._armed:
            return _NO_FAULT
        latency = 0.0
        for armed in self._armed:
            if not armed.fires(parcel, size):
                continue
            if armed.rule.kind != "latency":
                return Plan(latency, armed.rule)
            latency += armed.rule.seconds or 0.0
        return Plan(latency)

    def as_json(self) -> list[dict[str, Any]]:
        """The rules, each with its number and how often it fired."""
        return [armed.as_json() for armed in self._armed]

    def _new(self, rules: Iterable[FaultRule]) -> list[_ArmedRule]:
        return [_ArmedRule(next(self._numbers), rule) for rule in rules]

    def _put(self, armed: list[_ArmedRule]) -> None:
        self._armed = armed
        self.changed.set()
        self.changed = asyncio.Event()


class _ArmedRule:
    def __init__(self, number: int, rule: FaultRule) -> None:
        self.number = number
        self.rule = rule
        self._fired = 0
        # Reproducible on purpose: dice for tests, not for secrets.
        self._dice = random.Random(rule.seed)  # noqa: S311
        lasts = rule.for_seconds
        self._end = None if lasts is None else time.monotonic() + lasts

    @property
    def _is_spent(self) -> bool:
        if self._end is not None and time.monotonic() >= self._end:
            return True
        return self.rule.times is not None and self._fired >= self.rule.times

    def fires(self, parcel: Parcel, size: int) -> bool:
        if self._is_spent or not self._concerns(parcel, size):
            return False
        if self._dice.random() >= self.rule.rate:
            return False
        self._fired += 1
        return True

    def as_json(self) -> dict[str, Any]:
        given = {name: value for name, value in asdict(self.rule).items() if value is not None}
        return {"number": self.number, **given, "fired": self._fired, "spent": self._is_spent}

    def _concerns(self, parcel: Parcel, size: int) -> bool:
        rule = self.rule
        if rule.path is not None and rule.path != parcel.kind:
            return False
        if rule.over is not None and size <= rule.over:
            return False
        return rule.match is None or any(_matches(rule.match, item) for item in parcel.items)


def _matches(pattern: Any, value: Any) -> bool:
    """Whether a value is the pattern, or an object that has all the pattern's fields."""
    if isinstance(pattern, dict) and isinstance(value, dict):
        return all(name in value and _matches(part, value[name]) for name, part in pattern.items())
    # 1 is not true: JSON tells them apart, Python does not.
    return bool(pattern == value) and isinstance(pattern, bool) is isinstance(value, bool)
