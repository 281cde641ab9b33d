"""The audit: what was noted against what arrived, event by event.

    noted in the roll     arrived        verdict
    1 .. n                once           as it should be
                          twice          a duplicate: explained, if the same request came again, and
                                         an incident lies between
                          never          lost
    n + 1                 once, or not   the thread died, or was refused, before it could note it
    anything else         ever           foreign: nobody has emitted it

An arrival is a line of the sink's journals; the sink's own counts are not asked.
"""

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


@dataclass(frozen=True, slots=True)
class Promise:
    """What a producer knows.

    Attributes:
        noted: the events 1 to this one were accepted.
        settled: those up to this one were called settled ...
        settled_at: ... at this moment (epoch, seconds).
    """

    noted: int
    settled: int = 0
    settled_at: float = 0.0


@dataclass(slots=True)
class Findings:
    """What the audit found.

    Attributes:
        requests: that arrived.
        arrived: events, each counted once.
        identities: among them, in requests of their own.
        unnoted: among them, those that nobody has noted; one a thread at most.
        repeated_requests: that came again with the same key and content, by what explains them.
        explained_duplicates: events in those.
        unexplained_duplicates: events that came again otherwise.
        lost: events that were noted and never arrived.
        faults: what is wrong, in words; of many alike only the first.
    """

    requests: int = 0
    arrived: int = 0
    identities: int = 0
    unnoted: int = 0
    repeated_requests: Counter[str] = field(default_factory=Counter)
    explained_duplicates: int = 0
    unexplained_duplicates: int = 0
    lost: int = 0
    faults: list[str] = field(default_factory=list)

    def blame(self, fault: str) -> None:
        """Keep a fault, unless there are many already."""
        if len(self.faults) < _SHOWN:
            self.faults.append(fault)


class Audit:
    """Takes in all arrivals, oldest first, and says what is wrong.

    Args:
        run: the run's name.
        promises: of each producer, by its number.
        incidents: what may explain duplicates.
    """

    def __init__(
        self, run: str, promises: Mapping[int, Promise], incidents: Sequence[Incident]
    ) -> None:
        self._run = run
        self._promises = promises
        self._incidents = incidents
        self._left = [incident.requests for incident in incidents]
        # What concerns one client alone is not to use up what may explain another's. Of those the
        # earliest is taken, and leaves the later ones to later duplicates: as arrivals are in
        # order, this explains all that can be explained.
        self._by_concern = sorted(
            range(len(incidents)), key=lambda number: (not incidents[number].arena, number)
        )
        self._seen = {producer: bytearray(p.noted + 2) for producer, p in promises.items()}
        self._requests: dict[str, _Request] = {}
        self._findings = Findings()

    def take(self, line: bytes) -> None:
        """Take in one line of a journal."""
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
                findings.blame(f"twice, unexplained: {item['metadata']['_id']}, {_about(entry)}")
        if entry["kind"] == "identities":
            findings.identities += 1

    def findings(self) -> Findings:
        """What is to be said when all arrivals have been taken in."""
        findings = self._findings
        for producer, promise in self._promises.items():
            seen = self._seen[producer]
            findings.arrived += len(seen) - seen.count(0)
            findings.unnoted += seen[promise.noted + 1] > 0
            lost = seen.count(0, 1, promise.noted + 1)
            findings.lost += lost
            if lost:
                first = seen.index(0, 1)
                findings.blame(
                    f"{lost} lost of producer {producer}'s {promise.noted}, from {first}"
                )
        return findings

    def arrived_of(self, producers: Iterable[int]) -> int:
        """How many different events of these producers have arrived."""
        seen = [self._seen[producer] for producer in producers]
        return sum(len(each) - each.count(0) for each in seen)

    def _see(self, item: dict[str, Any], kind: str, at: float) -> bool:
        """Check one event that arrived; True when it had arrived before."""
        carried = item["metadata"] or {}
        name = event.parse(carried.get("_id"))
        if name is None or name[0] != self._run or name[1] not in self._promises:
            self._findings.blame(f"foreign: {item}")
            return False
        _, producer, number = name
        promise = self._promises[producer]
        if not 1 <= number <= promise.noted + 1:
            self._findings.blame(f"foreign: {number} of producer {producer}, {promise}")
            return False
        user = f"user {producer}" if kind == "actions" else carried["_id"]
        if carried != event.metadata(*name) or item["user_key"] != user:
            self._findings.blame(f"not as it was emitted: {item}")
        seen = self._seen[producer]
        if not seen[number] and number <= promise.settled and at > promise.settled_at:
            late = at - promise.settled_at
            self._findings.blame(f"called settled {late:.3f} s before it arrived: {name}")
        seen[number] = min(seen[number] + 1, 255)
        return seen[number] > 1

    def _explanation(self, entry: dict[str, Any], line: bytes) -> str | None:
        """Why this request came again; None when it came for the first time, or for no reason."""
        key = entry["idempotency_key"]
        if key is None:
            self._findings.blame(f"a request without Idempotency-Key: {_about(entry)}")
            return None
        content = blake2b(line[line.index(b'"items":') :], digest_size=16).digest()
        before = self._requests.get(key)
        if before is None:
            unanswered = entry["status"] is None
            self._requests[key] = _Request(content, entry["time"], unanswered)
            return None
        if before.content != content:
            self._findings.blame(f"two requests with the key {key}: {_about(entry)}")
            return None
        explanation = self._reason(key, before, entry["time"])
        before.unanswered = entry["status"] is None
        if explanation is not None:
            self._findings.repeated_requests[explanation] += 1
        return explanation

    def _reason(self, key: str, before: "_Request", again: float) -> str | None:
        if before.unanswered:
            return "ack_lost"
        for number in self._by_concern:
            incident = self._incidents[number]
            if self._left[number] and incident.may_explain(key, before.first, again):
                self._left[number] -= 1
                return incident.kind
        return None


@dataclass(slots=True)
class _Request:
    """A request that has arrived.

    Attributes:
        content: a digest of its items.
        first: when it arrived for the first time (epoch, seconds).
        unanswered: whether the sink was told not to answer when it arrived last.
    """

    content: bytes
    first: float
    unanswered: bool


def lines(journals: Iterable[Path]) -> Iterator[bytes]:
    """The whole lines of the journals; a torn one was never answered, and counts for nothing."""
    for journal in journals:
        with journal.open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))


def _about(entry: Mapping[str, Any]) -> str:
    return f"at {entry['time']:.3f} with the key {entry['idempotency_key']}"
