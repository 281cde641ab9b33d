"""The plan of a run: what happens and when. It depends only on the seed.

Which process an attack hits depends on which ones live at that moment. The plan only determines how
it is chosen.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

AttackKind = Literal[
    "kill worker",
    "kill all workers",
    "kill producer",
    "kill parent",
    "kill several",
    "kill all but one",
    "kill starting worker",
    "stop worker",
    "stop producer",
    "stop parent",
    "end application",
    "kill sink",
    "restart sink",
    "stop sink",
    "sink fault",
    "fill disk",
    "step clock",
]

_WEIGHTS: Final[dict[AttackKind, float]] = {
    "kill worker": 8,
    "kill all workers": 3,
    "kill producer": 8,
    "kill parent": 4,
    "kill several": 4,
    "kill all but one": 4,
    "kill starting worker": 3,
    "stop worker": 4,
    "stop producer": 3,
    "stop parent": 2,
    "end application": 2,
    "kill sink": 2,
    "restart sink": 1,
    "stop sink": 1.5,
    "sink fault": 6,
    "fill disk": 1.5,
    "step clock": 2,
}
_MEAN_PAUSE: Final = 0.6
_LONGEST_PAUSE: Final = 3.0
_STOP_SECONDS: Final = (0.1, 3.0)
_SPOOL_RATE: Final = 0.4
_STEP_SECONDS: Final = 86_400.0

READ_TIMEOUT: Final = 5.0
"""Seconds that a sender waits for a response: longer than one stop, shorter than several."""
BLOCK_TIMEOUT: Final = 20.0
"""Seconds that a call waits for room; it never waits that long unless something is wrong."""

Ending = Literal["close", "close early", "exit early"]
"""How an application ends: it closes after its producers or before them, or exits unclosed."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack on the processes of a run.

    Attributes:
        at: When it happens, in seconds after the start.
        kind: What is done.
        seconds: How long it lasts, if it does not happen at once.
        pick: A number from 0 to 1 that chooses the application.
        seed: The seed of all other choices.
        fault: The rule of a fault of the sink.
        step: Seconds by which the wall clock of the applications changes.
    """

    at: float
    kind: AttackKind
    seconds: float
    pick: float
    seed: int
    fault: dict[str, Any] | None = None
    step: float = 0.0


@dataclass(frozen=True, slots=True)
class ApplicationPlan:
    """An application, its client and its producers.

    Attributes:
        seed: The seed of all choices of its processes.
        settings: The settings of the client.
        producers: How many forked processes emit at a time.
        parent_emits: Whether the parent itself emits, from a thread, before it forks.
        ending: How it ends when it is asked to.
        spools: Whether it has a spool, for its arena and for batches whose retries are used up.
    """

    seed: int
    settings: dict[str, Any]
    producers: int
    parent_emits: bool
    ending: Ending
    spools: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens in a run.

    Attributes:
        seed: The seed from which everything else is derived.
        seconds: How long attacks are made.
        applications: How many applications live at a time.
        producers: How many processes each of them forks, approximately.
        spare_a_holder: Whether one process of each client is always left alive. An arena that is
            only in memory is lost when all processes that hold it die at once.
    """

    seed: int
    seconds: float
    applications: int = 2
    producers: int = 4
    spare_a_holder: bool = True

    def attacks(self) -> Iterator[Attack]:
        """Yield the attacks in order."""
        rng = random.Random(f"strikes {self.seed}")  # another text would change all known seeds
        at = 1.0
        while True:
            at += min(rng.expovariate(1 / _MEAN_PAUSE), _LONGEST_PAUSE)
            if at > self.seconds:
                return
            (kind,) = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
            yield Attack(
                at=at,
                kind=kind,
                seconds=rng.uniform(*_STOP_SECONDS),
                pick=rng.random(),
                seed=rng.getrandbits(32),
                fault=_fault(rng) if kind == "sink fault" else None,
                step=rng.uniform(-_STEP_SECONDS, _STEP_SECONDS) if kind == "step clock" else 0.0,
            )

    def application(self, number: int) -> ApplicationPlan:
        """Return the plan of the application with this number, counted from 0."""
        rng = random.Random(f"application {self.seed} {number}")
        processes = rng.choice([2, 2, 3])
        settings: dict[str, Any] = {
            "flush_buffer_size": rng.choice([16, 64, 256]),
            "flush_num_workers": processes * rng.choice([1, 2, 4]),
            "flush_num_processes": processes,
            "flush_num_retries": 1_000_000,
            "flush_backoff_ratio": rng.choice([0.02, 0.1]),
            "flush_actions_batch_size": rng.choice([5, 20, 20, 100]),
            "flush_interval": rng.choice([0.05, 0.3, 1.0]),
            "max_request_bytes": rng.choice([8, 16, 64]) * 1024,
            "block_timeout": BLOCK_TIMEOUT,
            "exit_timeout": rng.choice([0.0, 2.0]),
        }
        spools = rng.random() < _SPOOL_RATE
        if spools:  # few retries, so that an outage of seconds outlasts them
            settings["flush_num_retries"] = rng.choice([0, 2, 5])
            settings["spool_sync"] = rng.choice(["none", "none", "interval", "batch"])
        return ApplicationPlan(
            spools=spools,
            seed=rng.getrandbits(32),
            settings=settings,
            producers=rng.choice([self.producers - 1, self.producers, self.producers + 1]),
            parent_emits=rng.random() < 0.5,
            ending=rng.choice(["close", "close", "close early", "exit early"]),
        )


def _fault(rng: random.Random) -> dict[str, Any]:
    """Return a fault rule of the sink that expires."""
    seed = rng.getrandbits(31)
    seconds = rng.uniform(0.3, 2.0)
    rules: list[dict[str, Any]] = [
        {"kind": "status", "status": 503, "for_seconds": seconds},
        {"kind": "status", "status": 503, "rate": 0.5, "for_seconds": seconds, "seed": seed},
        {"kind": "status", "status": 429, "retry_after": 1, "times": 5},
        {"kind": "ack_lost", "times": rng.randint(1, 8), "reset": rng.random() < 0.5},
        {"kind": "disconnect", "times": rng.randint(1, 20), "reset": rng.random() < 0.5},
        {"kind": "latency", "seconds": rng.uniform(0.05, 0.5), "for_seconds": seconds},
        {"kind": "hang", "seconds": rng.uniform(0.2, 1.0), "times": rng.randint(1, 8)},
    ]
    return rng.choice(rules)
