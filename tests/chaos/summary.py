"""The summary of a run, as text and as JSON."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Summary:
    """What was done, what the results are, and what is wrong.

    Attributes:
        seed: The seed of the plan.
        seconds: How long attacks were made.
        drained: Seconds from the last attack until all applications had ended.
        applications: Applications, each with one client.
        producers: Processes that emitted.
        workers: Worker processes that the driver saw.
        emitted: Events for which a client was called.
        accepted: Events whose call returned and that were confirmed.
        refused: Calls that found the buffer full.
        arrived: Different events that arrived at the sink.
        unconfirmed: Those of them whose producer died before it could confirm them.
        identities: Those of them that are identities.
        parked: Events that applications left in their spools, for a new owner to send.
        requests: Requests that the sink accepted.
        retries: Requests that workers sent again.
        repeated_requests: Requests that the sink accepted again, by what explains them.
        explained_duplicates: Events in those requests.
        unexplained_duplicates: Events that arrived again for no reason.
        kills: Killed processes, by role.
        stops: Stopped processes, by role.
        endings: Applications that were asked to end, by how they end.
        sink: Attacks on the sink, by kind.
        machine: Attacks on the disk, the clock, files and descriptors, by kind.
        lost: Events that were confirmed and never arrived.
        hung: Calls that did not return, and processes that did not end, in time.
        leaks: Leaked frames, processes, descriptors and files.
        problems: Everything that is wrong, in words.
    """

    seed: int
    seconds: float
    drained: float = 0.0
    applications: int = 0
    producers: int = 0
    workers: int = 0
    emitted: int = 0
    accepted: int = 0
    refused: int = 0
    arrived: int = 0
    unconfirmed: int = 0
    identities: int = 0
    parked: int = 0
    requests: int = 0
    retries: int = 0
    repeated_requests: dict[str, int] = field(default_factory=dict)
    explained_duplicates: int = 0
    unexplained_duplicates: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    stops: dict[str, int] = field(default_factory=dict)
    endings: dict[str, int] = field(default_factory=dict)
    sink: dict[str, int] = field(default_factory=dict)
    machine: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    hung: int = 0
    leaks: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong, and at least one event was accepted."""
        return not (
            self.problems
            or self.lost
            or self.hung
            or self.unexplained_duplicates
            or any(self.leaks.values())
            or not self.accepted
        )

    def as_json(self) -> dict[str, Any]:
        """Return the attributes and the verdict, for `json.dumps`."""
        numbers = {name: getattr(self, name) for name in self.__slots__}
        return {**numbers, "verdict": "passed" if self.passed else "failed"}

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}: {self.seconds:.0f} s of attacks, all processes ended "
            f"{self.drained:.1f} s later",
            f"  events      {self.emitted:,} emitted, {self.accepted:,} accepted, "
            f"{self.refused:,} refused; {self.arrived:,} arrived ({self.unconfirmed:,} of them "
            f"unconfirmed, {self.identities:,} identities, {self.parked:,} parked)",
            f"  processes   {self.applications} applications, {self.producers} producers, "
            f"{self.workers} workers",
            f"  killed      {_counts(self.kills)}",
            f"  stopped     {_counts(self.stops)}",
            f"  ended       {_counts(self.endings)}",
            f"  sink        {_counts(self.sink)}",
            f"  machine     {_counts(self.machine)}",
            f"  requests    {self.requests:,} accepted, {self.retries:,} retries; "
            f"repeated: {_counts(self.repeated_requests)}",
            f"  duplicates  {self.explained_duplicates:,} explained, "
            f"{self.unexplained_duplicates:,} unexplained",
            f"  lost        {self.lost}",
            f"  hung        {self.hung}",
            f"  leaked      {_counts(self.leaks)}",
            *(f"  PROBLEM     {problem}" for problem in self.problems),
            "passed" if self.passed else "FAILED",
        ]
        return "\n".join(lines)


def _counts(counts: dict[str, int]) -> str:
    total = sum(counts.values())
    parts = ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()) if count)
    return f"{total:,} ({parts})" if parts else "0"
