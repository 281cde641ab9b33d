"""The conductor: carries out a plan, then puts everything right again and has it audited.

It is the processes' ancestor whatever dies in between (a "subreaper"), so none can get out of its
sight, and none is left when it has gone.
"""

import ctypes
import heapq
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

from dataart_mp.devsink.process import SinkError
from tests.chaos.application import Brief
from tests.chaos.audit import Audit, Promise, lines
from tests.chaos.chronicle import Chronicle
from tests.chaos.family import ENTRIES, Family
from tests.chaos.incident import Incident
from tests.chaos.leaks import Leaks
from tests.chaos.plan import Plan, Strike
from tests.chaos.procfs import born, command, descendants
from tests.chaos.roll import Roll
from tests.chaos.station import Station
from tests.chaos.summary import Summary
from tests.chaos.victim import Victim

_PR_SET_CHILD_SUBREAPER: Final = 36
_TICK_SECONDS: Final = 0.02
_LOOK_SECONDS: Final = 0.5
_READY_SECONDS: Final = 30.0
# Longer than any call of the client may take, with all that may be stopped meanwhile.
_HUNG_SECONDS: Final = 45.0
# A worker that cannot live is started anew after up to 30 s; then it has to deliver.
_CALM_SECONDS: Final = 120.0
_BUSY_SECONDS: Final = 0.05
_HEIR_SECONDS: Final = 60.0
_SPARE_SECONDS: Final = 240.0


class Conductor:
    """One run.

    Args:
        plan: what to do.
        folder: an empty one, for all that is written.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._run = f"{random.getrandbits(32):08x}"
        for name in ("logs", "outcomes", "troubles", "journals", "tmp", "spools"):
            (folder / name).mkdir()
        self._chronicle = Chronicle(folder)
        self._leaks = Leaks(folder / "tmp")
        applications = int(plan.seconds) * 2 + 4 * plan.applications
        self._roll = Roll.create(folder / "roll", applications * ENTRIES)
        self._station = Station(folder / "journals")
        self._families: list[Family] = []
        self._later: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._look_at = 0.0
        self._stopped: dict[Victim, float] = {}
        self._condemned: set[Victim] = set()
        self._incidents: list[Incident] = []
        self._hung: set[tuple[int, float]] = set()
        self._kills: Counter[str] = Counter()
        self._stops: Counter[str] = Counter()
        self._endings: Counter[str] = Counter()
        self._sink: Counter[str] = Counter()
        self._summary = Summary(plan.seed, plan.seconds)

    def run(self) -> Summary:
        """Carry out the plan.

        Returns:
            What came of it.
        """
        _adopt_orphans()
        try:
            self._station.start()
            self._storm()
            self._calm()
            self._station.close()
            self._reckon()
        finally:
            self._end_all()
        return self._summary

    # The storm

    def _storm(self) -> None:
        self._begin(self._plan.applications)
        start = time.monotonic()
        for strike in self._plan.strikes():
            self._pass_time(start + strike.at)
            self._strike(strike)
        self._pass_time(start + self._plan.seconds)

    def _pass_time(self, until: float) -> None:
        """Do what is due until then."""
        while (now := time.monotonic()) < until:
            while self._later and self._later[0][0] <= now:
                heapq.heappop(self._later)[2]()
            if now >= self._look_at:
                self._look_at = now + _LOOK_SECONDS
                self._look()
                self._begin(self._plan.applications)
            time.sleep(_TICK_SECONDS)

    def _in(self, seconds: float, work: Callable[[], object]) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._order), work))

    def _begin(self, wanted: int) -> None:
        """Start applications, until so many are there that were not told to end."""
        serving = sum(1 for f in self._families if f.parent_alive and not f.retired)
        for _ in range(serving, wanted):
            number = len(self._families)
            brief = Brief(
                run=self._run,
                number=number,
                cast=asdict(self._plan.cast(number)),
                url=self._station.url,
                folder=str(self._folder),
                first_entry=number * ENTRIES,
                last_entry=(number + 1) * ENTRIES,
                seconds=self._plan.seconds + _SPARE_SECONDS,
            )
            self._families.append(Family(brief, self._roll, self._environment()))

    def _environment(self) -> dict[str, str]:
        here = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), here]))
        kept = {name: text for name, text in os.environ.items() if not name.startswith("DATAART_")}
        return {**kept, "PYTHONPATH": path, "TMPDIR": str(self._folder / "tmp")}

    # Strikes

    def _strike(self, strike: Strike) -> None:
        dice = random.Random(strike.seed)
        match strike.kind:
            case "kill sink":
                self._end_sink("killed", signal.SIGKILL, strike.seconds)
            case "restart sink":
                self._end_sink("restarted", signal.SIGTERM, 0.0)
            case "stop sink":
                self._stop_sink(strike.seconds)
            case "sink fault":
                self._set_fault(strike)
            case _:
                families = [f for f in self._families if f.ready and not f.over and f.processes()]
                if families:
                    family = families[int(strike.pick * len(families))]
                    self._strike_family(strike, family, dice)

    def _strike_family(self, strike: Strike, family: Family, dice: random.Random) -> None:
        match strike.kind:
            case "kill worker":
                self._kill(family, _some(dice, family.workers(), 1))
            case "kill all workers":
                self._kill(family, family.workers())
            case "kill producer":
                self._kill(
                    family, _in_a_call(family) or _some(dice, _in_role("producer", family), 1)
                )
            case "kill parent":
                self._kill(family, _in_role("parent", family))
            case "kill several":
                processes = family.processes()
                self._kill(family, _some(dice, processes, dice.randint(2, 6)))
            case "kill all but one":
                spared = dice.choice(family.holders() or [None])
                processes = [*family.newborns(), *family.processes()]
                self._kill(family, [victim for victim in processes if victim != spared])
            case "kill newborn":
                self._kill(family, family.workers())
                self._in(dice.uniform(0.0, 0.4), lambda: self._kill(family, family.newborns()))
            case "stop worker":
                self._stop(family, _some(dice, family.workers(), 1), strike.seconds)
            case "stop producer":
                self._stop(family, _some(dice, _in_role("producer", family), 1), strike.seconds)
            case "stop parent":
                self._stop(family, _in_role("parent", family), strike.seconds)
            case "retire parent":
                if not family.retired and family.parent_alive:
                    self._endings[family.cast.ending] += 1
                    self._chronicle.tell(f"application {family.number}: {family.cast.ending}")
                    family.retire()

    def _kill(self, family: Family, victims: list[Victim]) -> None:
        """Kill them at the same moment, but for the last that holds what was accepted."""
        left = set(family.holders()) - self._condemned
        hit: list[Victim] = []
        for victim in victims:
            if self._plan.spare_a_holder and left <= {victim}:
                continue
            left.discard(victim)
            hit.append(victim)
        self._chronicle.tell(f"application {family.number}: kill {hit}, left {left}")
        for victim in hit:
            since = time.time()  # its frames may be sent again before this process goes on
            if victim.hit(signal.SIGKILL):
                self._condemned.add(victim)
                self._stopped.pop(victim, None)
                self._kills[victim.role] += 1
                # One that was seen as a newborn may be a worker by now, and have sent something.
                if victim.role in ("worker", "newborn"):
                    self._note_incident(
                        f"{victim.role} killed",
                        since,
                        0.0,
                        family.senders_a_worker,
                        family.arena_id,
                    )

    def _stop(self, family: Family, victims: list[Victim], seconds: float) -> None:
        self._chronicle.tell(f"application {family.number}: stop {victims} for {seconds:.1f} s")
        for victim in victims:
            since = time.time()
            if victim not in self._stopped and victim.hit(signal.SIGSTOP):
                self._stopped[victim] = time.monotonic()
                self._stops[victim.role] += 1
                self._in(seconds, lambda victim=victim: self._continue(victim))  # type: ignore[misc]
                if victim.role == "worker":
                    self._note_incident(
                        "worker stopped",
                        since,
                        seconds,
                        family.senders_a_worker,
                        family.arena_id,
                    )

    def _continue(self, victim: Victim) -> None:
        if self._stopped.pop(victim, None) is not None:
            victim.hit(signal.SIGCONT)

    def _end_sink(self, how: str, number: signal.Signals, seconds: float) -> None:
        if self._station.up:
            self._sink[how] += 1
            self._note_incident(f"sink {how}", time.time(), seconds, self._senders())
            self._station.end(number)
            self._in(seconds, self._station.start)

    def _stop_sink(self, seconds: float) -> None:
        if self._station.up:
            self._sink["stopped"] += 1
            self._note_incident("sink stopped", time.time(), seconds, self._senders())
            self._station.stop()
            self._in(seconds, self._station.go_on)

    def _set_fault(self, strike: Strike) -> None:
        if self._station.up and strike.fault is not None:
            self._sink[strike.fault["kind"]] += 1
            with suppress(SinkError):  # too slow just now
                self._station.set_fault(strike.fault)

    def _senders(self) -> int:
        """How many requests may be under way."""
        return sum(f.cast.settings["flush_num_workers"] for f in self._families if not f.over)

    def _note_incident(
        self, kind: str, since: float, seconds: float, requests: int, arena: str = ""
    ) -> None:
        self._chronicle.tell(f"{kind} for {seconds:.1f} s {arena}")
        # Not before now is it over, as far as is known.
        until = max(since + seconds, time.time())
        self._incidents.append(Incident(kind, since, until, requests, arena))

    # Looking around

    def _look(self) -> None:
        for family in self._families:
            if not family.over:
                self._look_at_family(family)
        self._reap()

    def _look_at_family(self, family: Family) -> None:
        family.look()
        if family.parent_alive or family.processes():
            self._look_for_the_hung(family)
        elif not family.descendants_holding_the_arena(os.getpid()):
            family.over = True
            self._settle(family)

    def _look_for_the_hung(self, family: Family) -> None:
        now = time.monotonic()
        for victim, writers in family.emitting():
            for writer in writers:
                since = writer.busy_since
                if since is not None and now - since > _HUNG_SECONDS:
                    self._report_hung(family, victim, (writer.producer, since))

    def _report_hung(self, family: Family, victim: Victim, call: tuple[int, float]) -> None:
        if call not in self._hung:
            self._hung.add(call)
            victim.hit(signal.SIGUSR1)  # writes its stacks into the log
            self._summary.hung += 1
            self._blame(f"application {family.number}: a call of {victim} does not return")

    def _settle(self, family: Family) -> None:
        """All its processes have gone: say what became of its records."""
        self._chronicle.tell(f"application {family.number}: all gone, {family.stats()}")
        for complaint in family.complaints():
            self._blame(complaint)
        stats = family.stats()
        family.accepted = stats.accepted
        self._summary.retries += stats.retries
        self._summary.parked += stats.parked
        leaks = self._summary.leaks
        leaks["frames"] = leaks.get("frames", 0) + family.busy_frames()
        family.close()

    def _reap(self) -> None:
        """Bury the orphans that we have adopted."""
        own = {family.pid for family in self._families}
        if self._station.alive:
            own.add(self._station.pid)
        for pid in descendants(os.getpid()):
            if pid not in own and born(pid) is None:
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)

    def _blame(self, fault: str) -> None:
        self._summary.faults.append(fault)

    # The calm after it

    def _calm(self) -> None:
        """Put all right, end all, and wait until all have gone."""
        start = time.monotonic()
        self._later.clear()
        self._station.heal()
        for victim in list(self._stopped):
            self._continue(victim)
        self._roll.call_it_a_day()
        while any(not family.over for family in self._families):
            if time.monotonic() > start + _CALM_SECONDS:
                break
            self._look()
            for family in self._families:
                if family.ready:  # one that is just starting is to be seen first
                    family.retire()
            time.sleep(_TICK_SECONDS)
        self._summary.drained = time.monotonic() - start
        for family in self._families:
            if not family.over:
                self._blame_survivors(family)
        for family in self._families:
            if family.spool.exists():
                self._have_inherited(family)

    def _have_inherited(self, family: Family) -> None:
        """What an application has parked, another one on its spool sends."""
        command = [
            "-m",
            "tests.chaos.heir",
            self._station.url,
            str(family.spool),
            str(_HEIR_SECONDS),
        ]
        done = subprocess.run(
            [sys.executable, *command], env=self._environment(), capture_output=True, check=False
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            self._blame(f"application {family.number}: its heir could not send all: {said}")
        deadline = time.monotonic() + _HEIR_SECONDS
        while self._others_alive():
            if time.monotonic() > deadline:
                self._blame(f"application {family.number}: its heir's workers do not leave")
                break
            time.sleep(_TICK_SECONDS)
        for file in family.what_is_left_in_the_spool():
            self._blame(f"leaked: {file}")

    def _others_alive(self) -> bool:
        """Whether anybody lives below this process but the sink."""
        self._reap()
        others = set(descendants(os.getpid())) - {self._station.pid}
        return any(born(pid) is not None for pid in others)

    def _blame_survivors(self, family: Family) -> None:
        for victim in family.producers():
            victim.hit(signal.SIGUSR1)
        left = family.processes()
        self._summary.hung += max(1, len(left))
        self._blame(f"application {family.number} does not end: {family.stats()}, {left}")
        for pid in family.descendants_holding_the_arena(os.getpid()):
            self._blame(f"  {pid}: {command(pid)}")
        time.sleep(1.0)
        self._settle(family)

    # The reckoning

    def _reckon(self) -> None:
        summary = self._summary
        summary.applications = len(self._families)
        summary.producers = sum(family.processes_seen for family in self._families)
        summary.workers = sum(family.workers_seen for family in self._families)
        summary.kills, summary.stops = dict(self._kills), dict(self._stops)
        summary.endings, summary.sink = dict(self._endings), dict(self._sink)
        for trouble in sorted((self._folder / "troubles").iterdir()):
            self._blame(f"{trouble}: {trouble.read_text().strip().splitlines()[-1]}")
        self._audit()
        self._roll.close()
        self._reap()
        processes, files = self._leaks.processes(), self._leaks.files()
        summary.faults += [f"leaked: {each}" for each in [*processes, *files]]
        summary.leaks["processes"] = len(processes)
        summary.leaks["files"] = len(files)
        summary.leaks["descriptors"] = self._leaks.descriptors()

    def _audit(self) -> None:
        summary = self._summary
        promises: dict[int, Promise] = {}
        for family in self._families:
            for writer in family.writers():
                promises[writer.producer] = Promise(writer.noted, *writer.settled)
                summary.accepted += writer.noted
                summary.refused += writer.refused
                summary.emitted += writer.noted + writer.refused + (writer.busy_since is not None)
        audit = Audit(self._run, promises, self._incidents)
        for line in lines(self._station.journals()):
            audit.take(line)
        findings = audit.findings()
        summary.requests = findings.requests
        summary.arrived = findings.arrived
        summary.identities = findings.identities
        summary.unnoted = findings.unnoted
        summary.repeated_requests = dict(findings.repeated_requests)
        summary.explained_duplicates = findings.explained_duplicates
        summary.unexplained_duplicates = findings.unexplained_duplicates
        summary.lost = findings.lost
        summary.faults += findings.faults
        for family in self._families:
            arrived = audit.arrived_of(writer.producer for writer in family.writers())
            if arrived != family.accepted:
                self._blame(
                    f"application {family.number}: the arena has {family.accepted} accepted, the "
                    f"sink {arrived} arrived"
                )

    def _end_all(self) -> None:
        """Leave no process behind, whatever happened here."""
        with suppress(SinkError):
            self._station.close()
        for pid in descendants(os.getpid()):
            birth = born(pid)
            if birth is not None:
                Victim(pid, birth, "left over").hit(signal.SIGKILL)


def _in_role(role: str, family: Family) -> list[Victim]:
    return [victim for victim in family.producers() if victim.role == role]


def _in_a_call(family: Family) -> list[Victim]:
    """A producer that is emitting at this moment, if one comes by soon."""
    deadline = time.monotonic() + _BUSY_SECONDS
    emitting = family.emitting()
    while time.monotonic() < deadline:
        for victim, writers in emitting:
            if victim.role == "producer" and any(writer.busy_since for writer in writers):
                return [victim]
    return []


def _some(dice: random.Random, victims: list[Victim], count: int) -> list[Victim]:
    return dice.sample(victims, min(count, len(victims)))


def _adopt_orphans() -> None:
    """Whoever loses its parent below this process becomes its child."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
