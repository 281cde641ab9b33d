"""The attacker: kills, stops and restarts processes as the plan says, and records what it did."""

import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from dataart_mp.devsink.process import SinkError
from tests.chaos.incident import Incident
from tests.chaos.observed_application import ObservedApplication
from tests.chaos.plan import Attack
from tests.chaos.process_handle import ProcessHandle
from tests.chaos.run_log import RunLog
from tests.chaos.schedule import Schedule
from tests.chaos.sink_under_test import SinkUnderTest
from tests.chaos.small_disk import SmallDisk
from tests.chaos.wall_clock import WallClock

_BUSY_SECONDS: Final = 0.05
_START_SECONDS: Final = 0.4


class Attacker:
    """Carries out attacks.

    Args:
        applications: All applications that have been started; the driver appends to it.
        sink: The sink under test.
        disk: Holds the spools.
        clock: The wall clock of the applications.
        schedule: Runs the second half of attacks that last.
        log: The run log.
        spare_a_holder: See `Plan.spare_a_holder`.

    Attributes:
        incidents: Attacks that may explain duplicates, in order.
        kills: How many processes were killed, by role.
        stops: How many processes were stopped, by role.
        endings: How many applications were asked to end, by how they end.
        sink_events: How often the sink was attacked, by kind.
        machine_events: How often the disk and the clock were attacked, by kind.
    """

    def __init__(
        self,
        applications: Sequence[ObservedApplication],
        sink: SinkUnderTest,
        disk: SmallDisk,
        clock: WallClock,
        schedule: Schedule,
        log: RunLog,
        *,
        spare_a_holder: bool,
    ) -> None:
        self._applications = applications
        self._sink = sink
        self._disk = disk
        self._clock = clock
        self._schedule = schedule
        self._log = log
        self._spare_a_holder = spare_a_holder
        self._stopped: set[ProcessHandle] = set()
        self._killed: set[ProcessHandle] = set()
        self.incidents: list[Incident] = []
        self.kills: Counter[str] = Counter()
        self.stops: Counter[str] = Counter()
        self.endings: Counter[str] = Counter()
        self.sink_events: Counter[str] = Counter()
        self.machine_events: Counter[str] = Counter()

    def attack(self, attack: Attack) -> None:
        """Carry out one attack; what it does later is scheduled."""
        match attack.kind:
            case "kill sink":
                self._end_sink("killed", signal.SIGKILL, attack.seconds)
            case "restart sink":
                self._end_sink("restarted", signal.SIGTERM, 0.0)
            case "stop sink":
                self._pause_sink(attack.seconds)
            case "sink fault":
                self._inject_fault(attack)
            case "fill disk":
                self._fill_disk(attack.seconds)
            case "step clock":
                self._step_clock(attack.step)
            case _:
                targets = [
                    a for a in self._applications if a.ready and not a.over and a.processes()
                ]
                if targets:
                    application = targets[int(attack.pick * len(targets))]
                    self._attack_application(attack, application, random.Random(attack.seed))

    def resume_all(self) -> None:
        """Resume all processes that are stopped."""
        for process in list(self._stopped):
            self._resume(process)

    # Applications

    def _attack_application(
        self, attack: Attack, application: ObservedApplication, rng: random.Random
    ) -> None:
        match attack.kind:
            case "kill worker":
                self._kill(application, _sample(rng, application.workers(), 1))
            case "kill all workers":
                self._kill(application, application.workers())
            case "kill producer":
                producers = _with_role("producer", application)
                self._kill(application, _in_a_call(application) or _sample(rng, producers, 1))
            case "kill parent":
                self._kill(application, _with_role("parent", application))
            case "kill several":
                processes = application.processes()
                self._kill(application, _sample(rng, processes, rng.randint(2, 6)))
            case "kill all but one":
                spared = rng.choice(application.holders() or [None])
                processes = [*application.starting_workers(), *application.processes()]
                self._kill(application, [each for each in processes if each != spared])
            case "kill starting worker":
                self._kill(application, application.workers())
                delay = rng.uniform(0.0, _START_SECONDS)
                self._schedule.after(delay, partial(self._kill_starting_workers, application))
            case "stop worker":
                self._stop(application, _sample(rng, application.workers(), 1), attack.seconds)
            case "stop producer":
                producers = _with_role("producer", application)
                self._stop(application, _sample(rng, producers, 1), attack.seconds)
            case "stop parent":
                self._stop(application, _with_role("parent", application), attack.seconds)
            case "end application":
                self._end_application(application)

    def _kill_starting_workers(self, application: ObservedApplication) -> None:
        self._kill(application, application.starting_workers())

    def _kill(self, application: ObservedApplication, processes: list[ProcessHandle]) -> None:
        """Kill these processes at the same moment, except the last one that holds the arena."""
        left = set(application.holders()) - self._killed
        chosen: list[ProcessHandle] = []
        for process in processes:
            if self._spare_a_holder and left <= {process}:
                continue
            left.discard(process)
            chosen.append(process)
        self._log.write(f"{application}: kill {chosen}, left {left}")
        for process in chosen:
            since = time.time()  # another worker may send its frames before `send` returns
            if process.send(signal.SIGKILL):
                self._killed.add(process)
                self._stopped.discard(process)
                self.kills[process.role] += 1
                # A worker that was just starting may have sent a request by now.
                if process.role in ("worker", "starting worker"):
                    self._record_worker_incident(f"{process.role} killed", since, 0.0, application)

    def _stop(
        self, application: ObservedApplication, processes: list[ProcessHandle], seconds: float
    ) -> None:
        self._log.write(f"{application}: stop {processes} for {seconds:.1f} s")
        for process in processes:
            since = time.time()
            if process not in self._stopped and process.send(signal.SIGSTOP):
                self._stopped.add(process)
                self.stops[process.role] += 1
                self._schedule.after(seconds, partial(self._resume, process))
                if process.role == "worker":
                    self._record_worker_incident("worker stopped", since, seconds, application)

    def _resume(self, process: ProcessHandle) -> None:
        if process in self._stopped:
            self._stopped.discard(process)
            process.send(signal.SIGCONT)

    def _end_application(self, application: ObservedApplication) -> None:
        if not application.asked_to_end and application.parent_alive:
            self.endings[application.plan.ending] += 1
            self._log.write(f"{application}: {application.plan.ending}")
            application.ask_to_end()

    # The sink

    def _end_sink(self, how: str, number: signal.Signals, seconds: float) -> None:
        if self._sink.up:
            self.sink_events[how] += 1
            self._record_incident(f"sink {how}", time.time(), seconds, self._senders())
            self._sink.end(number)
            self._schedule.after(seconds, self._sink.start)

    def _pause_sink(self, seconds: float) -> None:
        if self._sink.up:
            self.sink_events["stopped"] += 1
            self._record_incident("sink stopped", time.time(), seconds, self._senders())
            self._sink.pause()
            self._schedule.after(seconds, self._sink.resume)

    def _inject_fault(self, attack: Attack) -> None:
        if self._sink.up and attack.fault is not None:
            self.sink_events[attack.fault["kind"]] += 1
            with suppress(SinkError):  # too slow at the moment
                self._sink.inject_fault(attack.fault)

    # The machine

    def _fill_disk(self, seconds: float) -> None:
        if self._disk.is_mounted:
            self.machine_events["full disk"] += 1
            self._log.write(f"disk full for {seconds:.1f} s")
            self._disk.fill()
            self._schedule.after(seconds, self._disk.free)

    def _step_clock(self, seconds: float) -> None:
        running = [a for a in self._applications if a.ready and not a.over]
        pids = [process.pid for a in running for process in a.processes()]
        if any(self._clock.is_used_by(pid) for pid in pids):
            self.machine_events["clock step"] += 1
            self._log.write(f"wall clock steps by {seconds:.0f} s")
            self._clock.step(seconds)

    def _senders(self) -> int:
        """Return how many requests may be in flight."""
        return sum(a.plan.settings["flush_num_workers"] for a in self._applications if not a.over)

    # Incidents

    def _record_worker_incident(
        self, kind: str, since: float, seconds: float, application: ObservedApplication
    ) -> None:
        requests = application.senders_per_worker
        self._record_incident(kind, since, seconds, requests, application.arena_id)

    def _record_incident(
        self, kind: str, since: float, seconds: float, requests: int, arena: str = ""
    ) -> None:
        self._log.write(f"{kind} for {seconds:.1f} s {arena}")
        until = max(since + seconds, time.time())  # it is not over before this moment
        self.incidents.append(Incident(kind, since, until, requests, arena))


def _with_role(role: str, application: ObservedApplication) -> list[ProcessHandle]:
    return [process for process in application.emitters() if process.role == role]


def _in_a_call(application: ObservedApplication) -> list[ProcessHandle]:
    """Return a producer that is in a call of the client; empty if none is found soon."""
    deadline = time.monotonic() + _BUSY_SECONDS
    emitters = application.accounts_by_emitter()
    while time.monotonic() < deadline:
        for process, accounts in emitters:
            if process.role == "producer" and any(account.busy_since for account in accounts):
                return [process]
    return []


def _sample(rng: random.Random, processes: list[ProcessHandle], count: int) -> list[ProcessHandle]:
    return rng.sample(processes, min(count, len(processes)))
