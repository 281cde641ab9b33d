"""A family: one application, its producers and their workers, seen from outside.

The conductor maps the family's arena as a witness: it takes no lock and writes nothing. So it knows
the workers as the kernel does, by the locks on their places, and it can say what became of every
record when all processes of the family have gone.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final

from dataart_mp import Stats
from dataart_mp.queue.accounting import balance
from dataart_mp.queue.arena import FREE, Arena
from dataart_mp.queue.counters import Counters
from dataart_mp.queue.locks import PLACES
from tests.chaos.application import Brief
from tests.chaos.plan import Cast
from tests.chaos.procfs import born, descendants, holders
from tests.chaos.roll import Entry, FrameWriter, Roll
from tests.chaos.victim import Victim

ENTRIES: Final = 512
"""How many processes an application may have, its own included."""


class Family:
    """Starts an application.

    Args:
        brief: for it.
        roll: where its processes keep their accounts.
        environment: its variables.

    Attributes:
        retired: whether it was told to end.
        over: whether all its processes have gone.
        accepted: the events that its arena says were accepted, once it is over.
    """

    def __init__(self, brief: Brief, roll: Roll, environment: dict[str, str]) -> None:
        self.number = brief.number
        self.spool = Path(brief.spool)
        self.cast = Cast(**brief.cast)
        self.retired = False
        self.over = False
        self.accepted = 0
        self._folder = Path(brief.folder)
        self._entries = [roll.entry(n) for n in range(brief.first_entry, brief.last_entry)]
        self._entries_in_use = list(self._entries)
        self._arena: Arena | None = None
        self._workers_seen: set[Victim] = set()
        with self._log.open("wb") as log:
            self._parent = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.application"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
            )
        os.set_blocking(_open(self._parent.stdout).fileno(), False)
        stdin = _open(self._parent.stdin)
        stdin.write(json.dumps(asdict(brief)).encode() + b"\n")
        stdin.flush()

    @property
    def _log(self) -> Path:
        return self._folder / "logs" / str(self.number)

    def look(self) -> None:
        """Take in that the application is ready, as soon as it says so."""
        if self._arena is None:
            line = _open(self._parent.stdout).readline()
            if line:
                path = f"/proc/{self._parent.pid}/fd/{json.loads(line)['arena']}"
                self._arena = Arena(os.open(path, os.O_RDWR | os.O_CLOEXEC))

    @property
    def ready(self) -> bool:
        """Whether it has been ready."""
        return self._arena is not None

    @property
    def pid(self) -> int:
        """The application's process id."""
        return self._parent.pid

    @property
    def arena_id(self) -> str:
        """With which all of its Idempotency-Keys begin."""
        return "" if self._arena is None else self._arena.id

    @property
    def senders_a_worker(self) -> int:
        """How many requests a worker has under way, at most."""
        settings = self.cast.settings
        return int(-(-settings["flush_num_workers"] // settings["flush_num_processes"]))

    @property
    def parent_alive(self) -> bool:
        """Whether the application itself runs."""
        return self._parent.poll() is None

    def retire(self) -> None:
        """Tell the application to end as its cast says."""
        if not self.retired:
            self.retired = True
            _open(self._parent.stdin).close()

    # Processes

    def processes(self) -> list[Victim]:
        """The parent, the producers and the workers that live."""
        return [*self.producers(), *self.workers()]

    def producers(self) -> list[Victim]:
        """All that may emit, the parent first."""
        return [victim for victim, _ in self._signed()]

    def emitting(self) -> list[tuple[Victim, list[FrameWriter]]]:
        """The same, with the accounts of their threads."""
        return [(victim, entry.writers()) for victim, entry in self._signed()]

    def holders(self) -> list[Victim]:
        """The processes each of which is enough for all that was accepted to arrive.

        Not one that vanishes when it likes, or is ending: it may be gone with those that are killed
        at the same moment.
        """
        orderly = [victim for victim, entry in self._signed() if entry.orderly]
        return [*orderly, *self.workers()]

    def newborns(self) -> list[Victim]:
        """Whoever has the arena open and is none of the others yet: workers that are starting."""
        known = {victim.pid for victim in self.processes()}
        found = set(self.descendants_holding_the_arena(os.getpid())) - known
        births = {pid: born(pid) for pid in sorted(found)}
        return [Victim(pid, birth, "newborn") for pid, birth in births.items() if birth]

    def workers(self) -> list[Victim]:
        """Those whose place is taken, by the kernel's word."""
        if self._arena is None:
            return []
        found = []
        for place in range(self.cast.settings["flush_num_processes"]):
            pid = self._arena.locks.owner(PLACES + place)
            birth = None if pid is None else born(pid)
            # Asked again: the number may have been a dead worker's.
            if pid and birth and self._arena.locks.owner(PLACES + place) == pid:
                found.append(Victim(pid, birth, "worker"))
        self._workers_seen.update(found)
        return found

    def _signed(self) -> Iterator[tuple[Victim, Entry]]:
        """The living processes that have signed in the roll."""
        for entry in list(self._entries_in_use):
            if entry.pid:
                role = "parent" if entry is self._entries[0] else "producer"
                victim = Victim(entry.pid, entry.born, role)
                if victim.alive:
                    yield victim, entry
                else:
                    self._entries_in_use.remove(entry)

    def descendants_holding_the_arena(self, ancestor: int) -> list[int]:
        """Every process below this one that has the arena open, whatever it is."""
        return [] if self._arena is None else holders(self._arena.fd, descendants(ancestor))

    # What became of it

    def writers(self) -> list[FrameWriter]:
        """The accounts of all threads that may have emitted."""
        return [writer for entry in self._entries if entry.pid for writer in entry.writers()]

    @property
    def processes_seen(self) -> int:
        """How many processes have emitted."""
        return sum(1 for entry in self._entries if entry.pid)

    @property
    def workers_seen(self) -> int:
        """How many workers there have been, as far as anybody looked."""
        return len(self._workers_seen)

    def stats(self) -> Stats:
        """The balance sheet."""
        return Stats() if self._arena is None else balance(self._arena, Counters(self._arena))

    def busy_frames(self) -> int:
        """How many frames are not free."""
        if self._arena is None:
            return 0
        return self._arena.frames - len(self._arena.all_in(FREE))

    def said(self) -> str:
        """What its processes wrote to standard error."""
        return self._log.read_text(errors="replace")

    def complaints(self) -> list[str]:
        """What is not as it should be, now that all processes have gone."""
        return [f"application {self.number}: {complaint}" for complaint in self._complaints()]

    def _complaints(self) -> Iterator[str]:
        if busy := self.busy_frames():
            yield f"{busy} frames leaked"
        stats = self.stats()
        if stats.accepted != stats.delivered + stats.parked:
            yield f"not all was delivered: {stats}"
        if self._parent.returncode > 0:
            yield f"it ended with {self._parent.returncode}"
        if "Traceback" in self.said():
            yield f"a traceback in {self._log}"
        yield from self._complaints_of_outcome()

    def _complaints_of_outcome(self) -> Iterator[str]:
        outcome = self._folder / "outcomes" / str(self.number)
        if not outcome.exists():
            if self._parent.returncode == 0 and self.cast.ending != "exit early":
                yield "it ended without a word of its outcome"
            return
        facts: dict[str, Any] = json.loads(outcome.read_text())
        before, after = facts["descriptors"]
        if before != after:
            yield f"it had {before} descriptors before, {after} after"
        if len(facts["threads"]) > 1:
            yield f"threads are left: {facts['threads']}"
        if facts["left"]:
            yield f"close() left {facts['left']} records"

    def what_is_left_in_the_spool(self) -> list[str]:
        """The files that should not be there, when all processes have gone."""
        parked = ("parked.db", "parked.db-shm", "parked.db-wal")
        files = self.spool.iterdir() if self.spool.exists() else ()
        return [str(file) for file in files if file.name not in parked]

    def close(self) -> None:
        """Let go of the arena, and of the pipes."""
        for stream in (self._parent.stdin, self._parent.stdout):
            _open(stream).close()
        if self._arena is not None:
            self._arena.close()
            self._arena = None


def _open(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("not a pipe")
    return stream
