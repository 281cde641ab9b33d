"""Workers that start at once: each is forked from a template.

A worker takes 0.2 s of CPU time to start, nearly all of it for imports. Tests of supervision and of
hosts, and applications that tests run as scripts, start interpreters, as users do.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataart_mp.supervision import adopted, launch
from dataart_mp.worker import main as worker
from tests.template import Template


def worker_template() -> Template:
    """Return a template of workers."""
    modules = ("dataart_mp.spool.parking_lot", "dataart_mp.worker.parker")
    return Template("tests.forked_worker:main", *modules)


def spawn_from(template: Template) -> Callable[..., int]:
    """Return what replaces `os.posix_spawn`: it forks workers, and spawns everything else."""
    posix_spawn = os.posix_spawn

    def spawn(
        path: str,
        argv: list[str],
        env: Mapping[str, str],
        *,
        file_actions: Sequence[tuple[int, ...]] = (),
        **options: Any,
    ) -> int:
        if path != sys.executable or launch._BOOTSTRAP not in argv:
            return posix_spawn(path, argv, env, file_actions=file_actions, **options)
        descriptors: dict[int, int] = {}
        for action, source, *target in file_actions:
            if action == os.POSIX_SPAWN_DUP2:
                descriptors[target[0]] = descriptors.get(source, source)
            else:
                del descriptors[source]
        return template.fork(argv[-2:], descriptors, env=env)

    return spawn


def main() -> None:
    """Become a worker, as the interpreter does that a client starts."""
    signal.pthread_sigmask(signal.SIG_SETMASK, launch._IGNORED_SIGNALS)
    Path("/proc/self/comm").write_text(adopted.WORKER_NAME)
    brief = sys.stdin.buffer.read()
    sys.path[:] = json.loads(brief)["import_path"] or sys.path
    worker.main(brief)
