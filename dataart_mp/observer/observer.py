"""The observer: looks at clients again and again, and keeps those in view that end meanwhile."""

import contextlib
import os
from pathlib import Path
from typing import Self

from dataart_mp.observer import processes, spool_view
from dataart_mp.observer.arena_view import ArenaView
from dataart_mp.observer.client_view import ClientView, Look
from dataart_mp.observer.processes import Identity, ObserverError
from dataart_mp.observer.spool_view import SpoolLook
from dataart_mp.spool.arena_file import SUFFIX, ArenaError


class Observer:
    """Looks at the clients of a process, of a spool, or of this user on this machine.

    A client whose processes end stays in view: its memory exists as long as this object has it
    mapped. A client whose arena was removed, because all is delivered, leaves.

    Args:
        pid: A process of the clients, such as the application or a worker, or the master of a
            server whose processes have clients; None: of all.
        spool_dir: The spool of the clients; None: any, or none.

    Attributes:
        problems: What could not be read in the last look.
    """

    def __init__(self, pid: int | None = None, spool_dir: Path | None = None) -> None:
        self._pid = pid
        self._spool_dir = spool_dir
        self._views: dict[Identity, ClientView] = {}
        self.problems: list[str] = []

    def clients(self) -> list[Look]:
        """Return what is known of each client now, by the ids of their arenas.

        Raises:
            ObserverError: The process or the directory does not exist, or has no clients; or this
                system does not show what processes have mapped.
        """
        self.problems = []
        pids = self._in_spool(self._spool_dir) if self._spool_dir else self._in_processes()
        for identity in set(self._views) - set(pids):
            if self._spool_dir is not None:  # its file was removed
                self._views.pop(identity).close()
        looks = {each: view.look(pids.get(each, [])) for each, view in self._views.items()}
        for identity, look in looks.items():
            if look.is_closed and look.is_alive is False and not look.stats.pending:
                self._views.pop(identity).close()
        shown = [look for identity, look in looks.items() if identity in self._views]
        return sorted(shown, key=lambda look: look.id)

    def spools(self, clients: list[Look]) -> list[SpoolLook]:
        """Return what the spools of clients hold beside their arenas.

        Args:
            clients: What `clients` has returned.
        """
        directories = {look.path.parent for look in clients if look.path is not None}
        if self._spool_dir is not None:
            directories = {self._spool_dir}
        return [spool_view.look(each) for each in sorted(directories) if each.is_dir()]

    def close(self) -> None:
        """Unmap all arenas."""
        for view in self._views.values():
            view.close()
        self._views.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _in_processes(self) -> dict[Identity, list[int] | None]:
        """Add the arenas that processes have mapped; return these processes."""
        found = self._mapped()
        for each in found:
            if each.identity not in self._views:
                with contextlib.suppress(ObserverError):  # it has ended meanwhile, or is hidden
                    self._add(each.identity, each.open(), each.path)
        if self._pid is not None and not self._views:
            raise ObserverError(
                f"process {self._pid} has no client, and none of those that it has started; a "
                "process has one from its creation to its close"
            )
        return {each.identity: each.pids for each in found}

    def _mapped(self) -> list[processes.Mapped]:
        if self._pid is None:
            return processes.mapped()
        try:
            wanted = {each.identity for each in processes.mapped_by(self._pid)}
        except ObserverError:
            if not self._views:
                raise
            wanted = set()  # it has ended; its workers may live
        wanted |= set(self._views)
        return [each for each in processes.mapped() if each.identity in wanted]

    def _in_spool(self, directory: Path) -> dict[Identity, list[int] | None]:
        """Add the arenas of a spool; return the processes that have them mapped."""
        users = {each.identity: each.pids for each in _mapped_if_supported()}
        is_known = processes.is_supported()
        pids: dict[Identity, list[int] | None] = {}
        try:
            files = sorted(path for path in directory.iterdir() if path.name.endswith(SUFFIX))
        except OSError as error:
            raise ObserverError(f"{directory}: {error.strerror}") from None
        for file in files:
            try:
                fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            except FileNotFoundError:  # all is delivered
                continue
            except OSError as error:
                self.problems.append(f"{file}: {error.strerror}")
                continue
            identity = Identity(file.name)
            if identity in self._views:
                os.close(fd)
            else:
                self._add(identity, fd, file)
            pids[identity] = users.get(identity, []) if is_known else None
        return pids

    def _add(self, identity: Identity, fd: int, path: Path | None) -> None:
        """Map an arena, and close the descriptor."""
        try:
            self._views[identity] = ClientView(ArenaView(fd), path)
        except (ArenaError, OSError) as error:
            self.problems.append(f"{path or 'an arena in memory'}: {error}")
        finally:
            os.close(fd)


def _mapped_if_supported() -> list[processes.Mapped]:
    return processes.mapped() if processes.is_supported() else []
