"""The audit: compares, event by event, what was confirmed with what arrived.

    confirmed             arrived        verdict
    1 .. n                once           correct
                          twice          a duplicate; explained if the same request was repeated,
                                         whole or in parts, and an incident lies between
                          never          lost
    n + 1                 once or never  the thread died or was refused before it could confirm it
    any other             ever           foreign: no producer has emitted it

An arrival is a line in the sink's journals. The audit does not use the sink's counters.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import orjson

from tests.chaos import event
from tests.chaos.incident import Incident

_SHOWN: Final = 20
_PLACE: Final = re.compile(r"\+[0-9]+-[0-9]+\Z")
"""The end of the key of a part."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What the client has promised to one producer.

    Attributes:
        confirmed: The number of the last event that was accepted; so were all before it.
        settled: The number of the last event that was reported as settled.
        settled_at: When it was reported (epoch, seconds).
    """

    confirmed: int
    settled: int = 0
    settled_at: float = 0.0


@dataclass(slots=True)
class Findings:
    """What the audit found.

    Attributes:
        requests: Requests that arrived.
        arrived: Different events that arrived.
        identities: Requests with an identity.
        unconfirmed: Events that arrived but were not confirmed; at most one per thread.
        repeated_requests: Requests repeated with the same key and content, by what explains them.
        explained_duplicates: Events in those requests.
        unexplained_duplicates: Events that were repeated otherwise.
        lost: Events that were confirmed and never arrived.
        problems: What is wrong; only the first ones if there are many.
    """

    requests: int = 0
    arrived: int = 0
    identities: int = 0
    unconfirmed: int = 0
    repeated_requests: Counter[str] = field(default_factory=Counter)
    explained_duplicates: int = 0
    unexplained_duplicates: int = 0
    lost: int = 0
    problems: list[str] = field(default_factory=list)

    def add_problem(self, problem: str) -> None:
        """Add a problem, unless there are many already."""
        if len(self.problems) < _SHOWN:
            self.problems.append(problem)


class Audit:
    """Takes all arrivals, oldest first, and finds what is wrong.

    Args:
        run: The name of the run.
        promises: The promise to each producer, by the producer's number.
        incidents: What may explain duplicates, in order.
    """

    def __init__(
        self, run: str, promises: Mapping[int, Promise], incidents: Sequence[Incident]
    ) -> None:
        self._run = run
        self._promises = promises
        self._incidents = incidents
        self._left = [incident.requests for incident in incidents]
        # A duplicate uses up an incident of its client first, and leaves those that affect all
        # clients to other clients. It uses the earliest and leaves the later ones to later
        # duplicates. As arrivals are in order, this explains everything that can be explained.
        self._by_scope = sorted(
            range(len(incidents)), key=lambda number: (not incidents[number].arena, number)
        )
        self._seen = {producer: bytearray(p.confirmed + 2) for producer, p in promises.items()}
        self._requests: dict[str, _Request] = {}
        self._findings = Findings()

    def take(self, line: bytes) -> None:
        """Take one line of a journal."""
        entry = orjson.loads(line)
        findings = self._findings
        findings.requests += 1
        explanation = self._explanation(entry, line)
        for item in entry["items"]:
            duplicate = self._see(item, entry["kind"], entry["time"])
            if duplicate and explanation is not None:
                findings.explained_duplicates += 1
            elif duplicate:
                findings.unexplained_duplicates += 1
                identifier = item["metadata"]["_id"]
                findings.add_problem(f"unexplained duplicate: {identifier}, {_about(entry)}")
        if entry["kind"] == "identities":
            findings.identities += 1

    def findings(self) -> Findings:
        """Return the findings, after all arrivals were taken."""
        findings = self._findings
        for producer, promise in self._promises.items():
            seen = self._seen[producer]
            findings.arrived += len(seen) - seen.count(0)
            findings.unconfirmed += seen[promise.confirmed + 1] > 0
            lost = seen.count(0, 1, promise.confirmed + 1)
            findings.lost += lost
            if lost:
                first = seen.index(0, 1)
                findings.add_problem(
                    f"{lost} of {promise.confirmed} events of producer {producer} are lost, "
                    f"from {first}"
                )
        return findings

    def arrived_of(self, producers: Iterable[int]) -> int:
        """Return how many different events of these producers have arrived."""
        seen = [self._seen[producer] for producer in producers]
        return sum(len(each) - each.count(0) for each in seen)

    def _see(self, item: dict[str, Any], kind: str, at: float) -> bool:
        """Check one event that arrived; return whether it had arrived before."""
        metadata = item["metadata"] or {}
        name = event.parse(metadata.get("_id"))
        if name is None or name[0] != self._run or name[1] not in self._promises:
            self._findings.add_problem(f"foreign: {item}")
            return False
        _, producer, number = name
        promise = self._promises[producer]
        if not 1 <= number <= promise.confirmed + 1:
            self._findings.add_problem(f"foreign: {number} of producer {producer}, {promise}")
            return False
        user = f"user {producer}" if kind == "actions" else metadata["_id"]
        if metadata != event.metadata(*name) or item["user_key"] != user:
            self._findings.add_problem(f"differs from the emitted event: {item}")
        seen = self._seen[producer]
        if not seen[number] and number <= promise.settled and at > promise.settled_at:
            late = at - promise.settled_at
            self._findings.add_problem(
                f"reported as settled {late:.3f} s before it arrived: {name}"
            )
        seen[number] = min(seen[number] + 1, 255)
        return seen[number] > 1

    def _explanation(self, entry: dict[str, Any], line: bytes) -> str | None:
        """Return why this request was repeated; None if it is new, or repeated for no reason."""
        key = entry["idempotency_key"]
        if key is None:
            self._findings.add_problem(f"a request without Idempotency-Key: {_about(entry)}")
            return None
        content = blake2b(line[line.index(b'"items":') :], digest_size=16).digest()
        before = self._requests.get(key)
        if before is None:
            unanswered = entry["status"] is None
            self._requests[key] = _Request(content, entry["time"], unanswered)
            return self._explanation_of_part(entry)
        if before.content != content:
            self._findings.add_problem(f"two requests with the key {key}: {_about(entry)}")
            return None
        explanation = self._reason(key, before, entry["time"])
        before.unanswered = entry["status"] is None
        if explanation is not None:
            self._findings.repeated_requests[explanation] += 1
        return explanation

    def _explanation_of_part(self, entry: dict[str, Any]) -> str | None:
        """Return why events of a request arrived before, in a request that this one is a part of.

        A client whose frames are smaller than those of the client that parked a batch sends it in
        parts, whose keys name their places in the batch. One incident explains all parts.
        """
        whole_key = _PLACE.sub("", entry["idempotency_key"])
        whole = self._requests.get(whole_key)
        if whole is None or whole_key == entry["idempotency_key"]:
            return None
        if not any(map(self._has_arrived, entry["items"])):
            return None  # the platform asked for parts, and accepted nothing before
        if whole.divided is None:
            whole.divided = self._reason(whole_key, whole, entry["time"])
            if whole.divided is not None:
                self._findings.repeated_requests[whole.divided] += 1
        return whole.divided

    def _has_arrived(self, item: dict[str, Any]) -> bool:
        name = event.parse((item["metadata"] or {}).get("_id"))
        seen = self._seen.get(name[1], b"") if name else b""
        return name is not None and name[2] < len(seen) and seen[name[2]] > 0

    def _reason(self, key: str, before: "_Request", repeated: float) -> str | None:
        if before.unanswered:
            return "ack_lost"
        for number in self._by_scope:
            incident = self._incidents[number]
            if self._left[number] and incident.may_explain(key, before.first, repeated):
                self._left[number] -= 1
                return incident.kind
        return None


@dataclass(slots=True)
class _Request:
    """A request that has arrived.

    Attributes:
        content: A digest of its items.
        first: When it arrived first (epoch, seconds).
        unanswered: Whether a fault kept the sink from responding when it arrived last.
        divided: What explains that parts of it have arrived, if anything does.
    """

    content: bytes
    first: float
    unanswered: bool
    divided: str | None = None


def lines(journals: Iterable[Path]) -> Iterator[bytes]:
    """Yield the complete lines of the journals; the sink has not responded to a torn one."""
    for journal in journals:
        with journal.open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))


def _about(entry: Mapping[str, Any]) -> str:
    return f"at {entry['time']:.3f} with the key {entry['idempotency_key']}"
