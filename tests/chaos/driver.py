"""The driver: starts applications, attacks them, ends everything, and has it audited.

It adopts the orphans among its descendants (it is a "subreaper"). So it sees every process of the
run, and none is left when it has ended.
"""

import ctypes
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

from dataart_mp.devsink.process import SinkError
from tests.chaos import results
from tests.chaos.application import Brief
from tests.chaos.attacker import Attacker
from tests.chaos.error_folder import ErrorFolder
from tests.chaos.leaks import Leaks
from tests.chaos.monitor import Monitor
from tests.chaos.observed_application import ENTRIES, ObservedApplication
from tests.chaos.plan import Plan
from tests.chaos.process_handle import ProcessHandle
from tests.chaos.procfs import descendants, start_time
from tests.chaos.roster import Roster
from tests.chaos.run_log import RunLog
from tests.chaos.schedule import Schedule
from tests.chaos.sink_under_test import SinkUnderTest
from tests.chaos.small_disk import SmallDisk
from tests.chaos.summary import Summary
from tests.chaos.wall_clock import WallClock
from tests.support import environment

_PR_SET_CHILD_SUBREAPER: Final = 36
_TICK_SECONDS: Final = 0.02
_LOOK_SECONDS: Final = 0.5
# A worker that cannot run is restarted after up to 30 s; after that it still has to deliver.
_END_SECONDS: Final = 120.0
_NEW_OWNER_SECONDS: Final = 60.0
_SPARE_SECONDS: Final = 240.0


class Driver:
    """One run.

    Args:
        plan: What to do.
        folder: An empty folder for all files of the run.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._run = f"{random.getrandbits(32):08x}"
        for name in ("logs", "outcomes", "errors", "journals", "tmp", "spools", "clock"):
            (folder / name).mkdir()
        self._disk = SmallDisk(folder / "spools")
        self._leaks = Leaks(folder / "tmp")
        applications = int(plan.seconds) * 2 + 4 * plan.applications
        self._roster = Roster.create(folder / "roster", applications * ENTRIES)
        self._sink = SinkUnderTest(folder / "journals")
        self._applications: list[ObservedApplication] = []
        self._schedule = Schedule()
        self._clock = WallClock(folder / "clock")
        self._summary = Summary(plan.seed, plan.seconds)
        log = RunLog(folder)
        self._attacker = Attacker(
            self._applications,
            self._sink,
            self._disk,
            self._clock,
            self._schedule,
            log,
            spare_a_holder=plan.spare_a_holder,
        )
        self._monitor = Monitor(self._applications, self._sink, log, self._summary)
        self._look_at = 0.0

    def run(self) -> Summary:
        """Carry out the plan.

        Returns:
            The results.
        """
        _adopt_orphans()
        try:
            self._sink.start()
            self._attack()
            self._end_applications()
            self._send_parked()
            self._sink.close()
            self._summarize()
        finally:
            self._kill_all()
        if not self._summary.passed:  # the disk ends with this process
            shutil.copytree(self._folder / "spools", self._folder / "spools afterwards")
        self._disk.close()
        return self._summary

    # Attacks

    def _attack(self) -> None:
        self._start_applications()
        start = time.monotonic()
        for attack in self._plan.attacks():
            self._work_until(start + attack.at)
            self._attacker.attack(attack)
        self._work_until(start + self._plan.seconds)

    def _work_until(self, end: float) -> None:
        """Do what is due until then (monotonic, seconds)."""
        while (now := time.monotonic()) < end:
            self._schedule.run_due()
            if now >= self._look_at:
                self._look_at = now + _LOOK_SECONDS
                self._monitor.look()
                self._start_applications()
            time.sleep(_TICK_SECONDS)

    def _start_applications(self) -> None:
        """Start applications until as many run as planned that were not asked to end."""
        running = sum(1 for a in self._applications if a.parent_alive and not a.asked_to_end)
        for _ in range(running, self._plan.applications):
            number = len(self._applications)
            brief = Brief(
                run=self._run,
                number=number,
                plan=asdict(self._plan.application(number)),
                url=self._sink.url,
                folder=str(self._folder),
                first_entry=number * ENTRIES,
                last_entry=(number + 1) * ENTRIES,
                seconds=self._plan.seconds + _SPARE_SECONDS,
            )
            application = ObservedApplication(brief, self._roster, self._environment())
            self._applications.append(application)

    def _environment(self) -> dict[str, str]:
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), root]))
        temporary = str(self._folder / "tmp")
        return environment(PYTHONPATH=path, TMPDIR=temporary, **self._clock.environment())

    # The end

    def _end_applications(self) -> None:
        """Resume and restore everything, end all applications, and wait until they have ended."""
        start = time.monotonic()
        self._schedule.clear()
        self._sink.restore()
        self._disk.free()
        self._attacker.resume_all()
        self._roster.stop()
        while any(not application.over for application in self._applications):
            if time.monotonic() > start + _END_SECONDS:
                break
            self._monitor.look()
            for application in self._applications:
                if application.ready:  # one that is starting is first observed
                    application.ask_to_end()
            time.sleep(_TICK_SECONDS)
        self._summary.drained = time.monotonic() - start
        self._monitor.report_survivors()

    def _send_parked(self) -> None:
        """Have new owners send what applications have parked, and check that spools are empty."""
        for application in self._applications:
            if application.spool.exists():
                self._run_new_owner(application)
                leaked = application.files_left_in_spool()
                self._summary.problems += [f"leaked: {file}" for file in leaked]

    def _run_new_owner(self, application: ObservedApplication) -> None:
        arguments = [self._sink.url, str(application.spool), str(_NEW_OWNER_SECONDS)]
        done = subprocess.run(
            [sys.executable, "-m", "tests.chaos.new_owner", *arguments],
            env=self._environment(),
            capture_output=True,
            check=False,
        )
        if done.returncode:
            error = done.stderr.decode(errors="replace").strip()
            self._add_problem(f"{application}: its new owner could not send everything: {error}")
        deadline = time.monotonic() + _NEW_OWNER_SECONDS
        while not self._monitor.only_the_sink_runs():
            if time.monotonic() > deadline:
                self._add_problem(f"{application}: the workers of its new owner do not end")
                break
            time.sleep(_TICK_SECONDS)

    def _add_problem(self, problem: str) -> None:
        self._summary.problems.append(problem)

    def _summarize(self) -> None:
        results.add_attacks(self._summary, self._attacker, self._applications)
        self._summary.problems += ErrorFolder(self._folder / "errors").summaries()
        journals = self._sink.journals()
        results.add_audit(self._summary, self._run, self._applications, self._attacker, journals)
        self._roster.close()
        self._clock.close()
        self._monitor.reap()
        results.add_leaks(self._summary, self._leaks)

    def _kill_all(self) -> None:
        """Leave no process behind, even after an exception."""
        with suppress(SinkError):
            self._sink.close()
        for pid in descendants(os.getpid()):
            started = start_time(pid)
            if started is not None:
                ProcessHandle(pid, started, "left over").send(signal.SIGKILL)


def _adopt_orphans() -> None:
    """Make descendants that lose their parent children of this process."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
