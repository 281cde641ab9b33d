"""The summary of a run, for people and for programs."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Summary:
    """What was done, what came of it, and what is wrong.

    Attributes:
        seed: of the plan.
        seconds: how long strikes fell.
        drained: seconds from the last strike until everything had gone.
        applications: how many clients there were.
        producers: processes that emitted.
        workers: worker processes, as far as they were seen.
        emitted: events for which a client was called.
        accepted: those for which the call returned, and was noted.
        refused: calls that found no room.
        arrived: different events that the sink has.
        unnoted: those of them whose producer died before it could note them.
        identities: those of them that came in requests of their own.
        parked: those that applications left in their spools, for others to send.
        requests: that the sink accepted.
        retries: requests that workers sent again.
        repeated_requests: those that the sink accepted again, by what explains them.
        explained_duplicates: events in them.
        unexplained_duplicates: events that came twice for no reason.
        kills: processes killed, by role.
        stops: processes stopped, by role.
        endings: applications told to end, by how they do.
        sink: what the sink went through.
        lost: events that were noted, and never arrived.
        hung: calls that did not return, and processes that did not end, in time.
        leaks: frames, processes, descriptors and files.
        faults: all that is wrong, in words.
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
    unnoted: int = 0
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
    lost: int = 0
    hung: int = 0
    leaks: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every promise was kept, and something was put to the test at all."""
        return not (
            self.faults
            or self.lost
            or self.hung
            or self.unexplained_duplicates
            or any(self.leaks.values())
            or not self.accepted
        )

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        numbers = {name: getattr(self, name) for name in self.__slots__}
        return {**numbers, "verdict": "passed" if self.passed else "failed"}

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}: {self.seconds:.0f} s of strikes, and all gone after "
            f"{self.drained:.1f} s more",
            f"  events    {self.emitted:,} emitted, {self.accepted:,} accepted, "
            f"{self.refused:,} refused; {self.arrived:,} arrived "
            f"({self.unnoted:,} of them unnoted, {self.identities:,} identities, "
            f"{self.parked:,} inherited)",
            f"  processes {self.applications} applications, {self.producers} producers, "
            f"{self.workers} workers",
            f"  killed    {_counts(self.kills)}; the sink: {_counts(self.sink)}",
            f"  stopped   {_counts(self.stops)}",
            f"  told to   {_counts(self.endings)}",
            f"  requests  {self.requests:,} accepted, {self.retries:,} retries; came twice, "
            f"explained by {_counts(self.repeated_requests)}",
            f"  repeated  {self.explained_duplicates:,} duplicates explained, "
            f"{self.unexplained_duplicates:,} unexplained",
            f"  lost      {self.lost}",
            f"  hung      {self.hung}",
            f"  leaked    {_counts(self.leaks)}",
            *(f"  FAULT     {fault}" for fault in self.faults),
            "passed" if self.passed else "FAILED",
        ]
        return "\n".join(lines)


def _counts(counts: dict[str, int]) -> str:
    total = sum(counts.values())
    parts = ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()) if count)
    return f"{total:,} ({parts})" if parts else "0"
