"""An observed application: its processes, seen from the driver.

The driver maps the application's arena, takes no lock and writes nothing. It knows the workers by
the locks on their places, as the kernel does. It can read the balance of all records even after all
processes of the application have ended.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final

from dataart_mp import Stats
from tests.chaos.application import Brief
from tests.chaos.plan import ApplicationPlan
from tests.chaos.process_handle import ProcessHandle
from tests.chaos.procfs import descendants, holders, start_time
from tests.chaos.roster import Entry, Roster, ThreadAccount
from tests.queue.internals import FREE, PLACES, Arena, Counters, balance

ENTRIES: Final = 512
"""How many processes an application may have, including its own."""

_PARKED_FILES: Final = ("parked.db", "parked.db-shm", "parked.db-wal")


class ObservedApplication:
    """Starts an application and observes its processes.

    Args:
        brief: What it reads from its standard input.
        roster: Where its processes have their entries.
        environment: Its environment variables.

    Attributes:
        number: The number of the application.
        spool: Its spool; the directory exists only if it uses one.
        plan: How it was configured, and how it is to end.
        asked_to_end: Whether `ask_to_end` was called.
        over: Whether all its processes have ended.
        accepted: Once it is over, how many events were accepted according to its arena.
    """

    def __init__(self, brief: Brief, roster: Roster, environment: dict[str, str]) -> None:
        self.number = brief.number
        self.spool = Path(brief.spool)
        self.plan = ApplicationPlan(**brief.plan)
        self.asked_to_end = False
        self.over = False
        self.accepted = 0
        self._folder = Path(brief.folder)
        self._entries = [roster.entry(n) for n in range(brief.first_entry, brief.last_entry)]
        self._entries_in_use = list(self._entries)
        self._arena: Arena | None = None
        self._workers_seen: set[ProcessHandle] = set()
        self._channel, stdout = socket.socketpair()
        self._channel.setblocking(False)
        with self._log.open("wb") as log, stdout:
            self._parent = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.application"],
                stdin=subprocess.PIPE,
                stdout=stdout.fileno(),
                stderr=log,
                env=environment,
            )
        self._stdin.write(json.dumps(asdict(brief)).encode() + b"\n")
        self._stdin.flush()

    def __str__(self) -> str:
        return f"application {self.number}"

    @property
    def _log(self) -> Path:
        return self._folder / "logs" / str(self.number)

    @property
    def _stdin(self) -> IO[bytes]:
        stdin = self._parent.stdin
        if stdin is None:
            raise ValueError("not a pipe")
        return stdin

    def look(self) -> None:
        """Map the application's arena as soon as the application has sent its descriptor."""
        if self._arena is None:
            with suppress(BlockingIOError):
                _, descriptors, _, _ = socket.recv_fds(
                    self._channel, 16, 2, socket.MSG_CMSG_CLOEXEC
                )
                if descriptors:  # else the application has ended
                    self._arena = Arena(*descriptors)

    @property
    def ready(self) -> bool:
        """Whether the application has started."""
        return self._arena is not None

    @property
    def pid(self) -> int:
        """The application's process id."""
        return self._parent.pid

    @property
    def arena_id(self) -> str:
        """The prefix of all its Idempotency-Keys."""
        return "" if self._arena is None else self._arena.id

    @property
    def senders_per_worker(self) -> int:
        """How many requests a worker has in flight at most."""
        settings = self.plan.settings
        return int(-(-settings["flush_num_workers"] // settings["flush_num_processes"]))

    @property
    def parent_alive(self) -> bool:
        """Whether the application's own process runs."""
        return self._parent.poll() is None

    def ask_to_end(self) -> None:
        """Ask the application to end as planned, by closing its standard input."""
        if not self.asked_to_end:
            self.asked_to_end = True
            self._stdin.close()

    # Processes

    def processes(self) -> list[ProcessHandle]:
        """Return the living parent, producers and workers."""
        return [*self.emitters(), *self.workers()]

    def emitters(self) -> list[ProcessHandle]:
        """Return the living processes that may emit, the parent first."""
        return [process for process, _ in self._registered()]

    def accounts_by_emitter(self) -> list[tuple[ProcessHandle, list[ThreadAccount]]]:
        """Return the living processes that may emit, with the accounts of their threads."""
        return [(process, entry.accounts()) for process, entry in self._registered()]

    def holders(self) -> list[ProcessHandle]:
        """Return the processes each of which ensures that all accepted events arrive.

        A process that is ending, or ends unannounced, is not among them: it may end at the moment
        when the others are killed.
        """
        orderly = [process for process, entry in self._registered() if entry.orderly]
        return [*orderly, *self.workers()]

    def starting_workers(self) -> list[ProcessHandle]:
        """Return the workers that are starting: other processes that have the arena open."""
        known = {process.pid for process in self.processes()}
        found = set(self.descendants_holding_the_arena(os.getpid())) - known
        started = {pid: start_time(pid) for pid in sorted(found)}
        return [
            ProcessHandle(pid, time, "starting worker") for pid, time in started.items() if time
        ]

    def workers(self) -> list[ProcessHandle]:
        """Return the processes that hold the lock of a worker's place."""
        if self._arena is None:
            return []
        found = []
        for place in range(self.plan.settings["flush_num_processes"]):
            pid = self._arena.locks.owner(PLACES + place)
            started = None if pid is None else start_time(pid)
            # Checked again: a dead worker may have had the process id.
            if pid and started and self._arena.locks.owner(PLACES + place) == pid:
                found.append(ProcessHandle(pid, started, "worker"))
        self._workers_seen.update(found)
        return found

    def _registered(self) -> Iterator[tuple[ProcessHandle, Entry]]:
        """Yield the living processes that have an entry in the roster."""
        for entry in list(self._entries_in_use):
            if entry.pid:
                role = "parent" if entry is self._entries[0] else "producer"
                process = ProcessHandle(entry.pid, entry.started, role)
                if process.alive:
                    yield process, entry
                else:
                    self._entries_in_use.remove(entry)

    def descendants_holding_the_arena(self, ancestor: int) -> list[int]:
        """Return every descendant of this process that has the arena open."""
        return [] if self._arena is None else holders(self._arena.fd, descendants(ancestor))

    # Results

    def accounts(self) -> list[ThreadAccount]:
        """Return the accounts of all threads that may have emitted."""
        return [account for entry in self._entries if entry.pid for account in entry.accounts()]

    @property
    def processes_seen(self) -> int:
        """How many processes have emitted."""
        return sum(1 for entry in self._entries if entry.pid)

    @property
    def workers_seen(self) -> int:
        """How many workers `workers` has found so far."""
        return len(self._workers_seen)

    def stats(self) -> Stats:
        """Return the balance of all records."""
        return Stats() if self._arena is None else balance(self._arena, Counters(self._arena))

    def used_frames(self) -> int:
        """Return how many frames are not free."""
        if self._arena is None:
            return 0
        return self._arena.frames - len(self._arena.all_in(FREE))

    def problems(self) -> list[str]:
        """Return what is wrong, now that all processes have ended."""
        return [f"{self}: {problem}" for problem in self._problems()]

    def _problems(self) -> Iterator[str]:
        if used := self.used_frames():
            yield f"{used} frames leaked"
        stats = self.stats()
        if stats.accepted != stats.delivered + stats.parked:
            yield f"not all records were delivered: {stats}"
        if self._parent.returncode > 0:
            yield f"it ended with {self._parent.returncode}"
        if "Traceback" in self._log.read_text(errors="replace"):
            yield f"a traceback in {self._log}"
        yield from self._problems_of_outcome()

    def _problems_of_outcome(self) -> Iterator[str]:
        outcome = self._folder / "outcomes" / str(self.number)
        if not outcome.exists():
            if self._parent.returncode == 0 and self.plan.ending != "exit early":
                yield "it ended without writing its outcome"
            return
        facts: dict[str, Any] = json.loads(outcome.read_text())
        before, after = facts["descriptors"]
        if before != after:
            yield f"it had {before} descriptors before, {after} after"
        if len(facts["threads"]) > 1:
            yield f"threads are left: {facts['threads']}"
        if facts["left"]:
            yield f"close() left {facts['left']} records"

    def files_left_in_spool(self) -> list[str]:
        """Return the files that should not exist any more, when all processes have ended."""
        files = self.spool.iterdir() if self.spool.exists() else ()
        return [str(file) for file in files if file.name not in _PARKED_FILES]

    def close(self) -> None:
        """Close the arena, and the connections to the application."""
        self._stdin.close()
        self._channel.close()
        if self._arena is not None:
            self._arena.close()
            self._arena = None
