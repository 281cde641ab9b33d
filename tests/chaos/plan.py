"""The plan: what happens when. A function of the seed, so that a run can be had again.

Which process a strike meets depends on who lives at that moment; the plan only says how to choose.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

StrikeKind = Literal[
    "kill worker",
    "kill all workers",
    "kill producer",
    "kill parent",
    "kill several",
    "kill all but one",
    "kill newborn",
    "stop worker",
    "stop producer",
    "stop parent",
    "retire parent",
    "kill sink",
    "restart sink",
    "stop sink",
    "sink fault",
]

_WEIGHTS: Final[dict[StrikeKind, float]] = {
    "kill worker": 8,
    "kill all workers": 3,
    "kill producer": 8,
    "kill parent": 4,
    "kill several": 4,
    "kill all but one": 4,
    "kill newborn": 3,
    "stop worker": 4,
    "stop producer": 3,
    "stop parent": 2,
    "retire parent": 2,
    "kill sink": 2,
    "restart sink": 1,
    "stop sink": 1.5,
    "sink fault": 6,
}
_MEAN_PAUSE: Final = 0.6
_LONGEST_PAUSE: Final = 3.0
_STOP_SECONDS: Final = (0.1, 3.0)
_SPOOL_RATE: Final = 0.4

READ_TIMEOUT: Final = 5.0
"""Seconds that a sender waits for an answer: longer than any stop, but not than several."""
BLOCK_TIMEOUT: Final = 20.0
"""Seconds that a call waits for room; in a run that goes well it never waits so long."""

Ending = Literal["close", "close early", "exit early"]
"""How an application ends: when its producers have gone, or before them, closing or not."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One thing that is done to the run.

    Attributes:
        at: seconds after the start.
        kind: what is done.
        seconds: how long it lasts, where it does.
        pick: a number from 0 to 1 by which the victim is chosen.
        seed: of all other choices.
        fault: the sink's rule, for a fault.
    """

    at: float
    kind: StrikeKind
    seconds: float
    pick: float
    seed: int
    fault: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Cast:
    """An application, its client and its producers.

    Attributes:
        seed: of all that its processes choose.
        settings: the client's.
        producers: how many forked processes emit at once.
        parent_emits: whether the parent itself emits, from a thread, before it forks.
        ending: how it ends when it is told to.
        spools: whether its arena is a file, and what has had its last try is parked beside it.
    """

    seed: int
    settings: dict[str, Any]
    producers: int
    parent_emits: bool
    ending: Ending
    spools: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a seed decides.

    Attributes:
        seed: it.
        seconds: how long strikes fall.
        applications: how many of them live at once.
        producers: how many processes each of them forks, about.
        spare_a_holder: whether one process of each client is always left alive: where the arena
            is nowhere else than in their memory, nothing is promised when all die at once.
    """

    seed: int
    seconds: float
    applications: int = 2
    producers: int = 4
    spare_a_holder: bool = True

    def strikes(self) -> Iterator[Strike]:
        """What is done, in order."""
        dice = random.Random(f"strikes {self.seed}")
        at = 1.0
        while True:
            at += min(dice.expovariate(1 / _MEAN_PAUSE), _LONGEST_PAUSE)
            if at > self.seconds:
                return
            (kind,) = dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
            yield Strike(
                at=at,
                kind=kind,
                seconds=dice.uniform(*_STOP_SECONDS),
                pick=dice.random(),
                seed=dice.getrandbits(32),
                fault=_fault(dice) if kind == "sink fault" else None,
            )

    def cast(self, number: int) -> Cast:
        """What the application of this number, counted from 0, is like."""
        dice = random.Random(f"application {self.seed} {number}")
        processes = dice.choice([2, 2, 3])
        settings = {
            "flush_buffer_size": dice.choice([16, 64, 256]),
            "flush_num_workers": processes * dice.choice([1, 2, 4]),
            "flush_num_processes": processes,
            "flush_num_retries": 1_000_000,
            "flush_backoff_ratio": dice.choice([0.02, 0.1]),
            "flush_actions_batch_size": dice.choice([5, 20, 20, 100]),
            "flush_interval": dice.choice([0.05, 0.3, 1.0]),
            "max_request_bytes": dice.choice([8, 16, 64]) * 1024,
            "block_timeout": BLOCK_TIMEOUT,
            "exit_timeout": dice.choice([0.0, 2.0]),
        }
        spools = dice.random() < _SPOOL_RATE
        if spools:  # so that outages of seconds outlast the tries
            settings["flush_num_retries"] = dice.choice([0, 2, 5])
        return Cast(
            spools=spools,
            seed=dice.getrandbits(32),
            settings=settings,
            producers=dice.choice([self.producers - 1, self.producers, self.producers + 1]),
            parent_emits=dice.random() < 0.5,
            ending=dice.choice(["close", "close", "close early", "exit early"]),
        )


def _fault(dice: random.Random) -> dict[str, Any]:
    """A rule of the sink that goes away by itself."""
    seed = dice.getrandbits(31)
    seconds = dice.uniform(0.3, 2.0)
    rules: list[dict[str, Any]] = [
        {"kind": "status", "status": 503, "for_seconds": seconds},
        {"kind": "status", "status": 503, "rate": 0.5, "for_seconds": seconds, "seed": seed},
        {"kind": "status", "status": 429, "retry_after": 1, "times": 5},
        {"kind": "ack_lost", "times": dice.randint(1, 8), "reset": dice.random() < 0.5},
        {"kind": "disconnect", "times": dice.randint(1, 20), "reset": dice.random() < 0.5},
        {"kind": "latency", "seconds": dice.uniform(0.05, 0.5), "for_seconds": seconds},
        {"kind": "hang", "seconds": dice.uniform(0.2, 1.0), "times": dice.randint(1, 8)},
    ]
    return dice.choice(rules)
