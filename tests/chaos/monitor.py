"""The monitor: finds calls that hang, and applications all of whose processes have ended."""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from tests.chaos.observed_application import ObservedApplication
from tests.chaos.process_handle import ProcessHandle
from tests.chaos.procfs import command, descendants, start_time
from tests.chaos.run_log import RunLog
from tests.chaos.sink_under_test import SinkUnderTest
from tests.chaos.summary import Summary

# Longer than any call of the client may take, even if several processes are stopped meanwhile.
_HUNG_SECONDS: Final = 45.0


class Monitor:
    """Observes all processes of a run, and writes what it finds into the summary.

    Args:
        applications: All applications that have been started; the driver appends to it.
        sink: The sink under test.
        log: The run log.
        summary: The summary of the run.
    """

    def __init__(
        self,
        applications: Sequence[ObservedApplication],
        sink: SinkUnderTest,
        log: RunLog,
        summary: Summary,
    ) -> None:
        self._applications = applications
        self._sink = sink
        self._log = log
        self._summary = summary
        self._hung: set[tuple[int, float]] = set()

    def look(self) -> None:
        """Check all applications that are not over, and reap orphans."""
        for application in self._applications:
            if not application.over:
                self._look_at(application)
        self.reap()

    def reap(self) -> None:
        """Reap the orphans that this process has adopted."""
        own = {application.pid for application in self._applications}
        if self._sink.running:
            own.add(self._sink.pid)
        for pid in descendants(os.getpid()):
            if pid not in own and start_time(pid) is None:
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)

    def only_the_sink_runs(self) -> bool:
        """Whether no descendant of this process lives, except the sink."""
        self.reap()
        others = set(descendants(os.getpid())) - {self._sink.pid}
        return all(start_time(pid) is None for pid in others)

    def report_survivors(self) -> None:
        """Report the applications that did not end in time; their stacks go to their logs."""
        for application in self._applications:
            if not application.over:
                self._report_survivor(application)

    def _look_at(self, application: ObservedApplication) -> None:
        application.look()
        if application.parent_alive or application.processes():
            self._find_hung_calls(application)
        elif not application.descendants_holding_the_arena(os.getpid()):
            application.over = True
            self._collect(application)

    def _find_hung_calls(self, application: ObservedApplication) -> None:
        now = time.monotonic()
        for process, accounts in application.accounts_by_emitter():
            for account in accounts:
                since = account.busy_since
                if since is not None and now - since > _HUNG_SECONDS:
                    self._report_hung(application, process, (account.producer, since))

    def _report_hung(
        self, application: ObservedApplication, process: ProcessHandle, call: tuple[int, float]
    ) -> None:
        if call not in self._hung:
            self._hung.add(call)
            process.send(signal.SIGUSR1)  # it writes its stacks to the log
            self._summary.hung += 1
            self._summary.problems.append(f"{application}: a call of {process} does not return")

    def _report_survivor(self, application: ObservedApplication) -> None:
        for process in application.emitters():
            process.send(signal.SIGUSR1)
        left = application.processes()
        self._summary.hung += max(1, len(left))
        problems = self._summary.problems
        problems.append(f"{application} does not end: {application.stats()}, {left}")
        holders = application.descendants_holding_the_arena(os.getpid())
        problems += [f"  {pid}: {command(pid)}" for pid in holders]
        time.sleep(1.0)
        self._collect(application)

    def _collect(self, application: ObservedApplication) -> None:
        """Add the results of an application whose processes have ended to the summary."""
        stats = application.stats()
        self._log.write(f"{application}: all its processes have ended, {stats}")
        summary = self._summary
        summary.problems += application.problems()
        application.accepted = stats.accepted
        summary.retries += stats.retries
        summary.parked += stats.parked
        summary.leaks["frames"] = summary.leaks.get("frames", 0) + application.used_frames()
        application.close()
