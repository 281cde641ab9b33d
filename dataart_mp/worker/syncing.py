"""Syncing: a thread of a worker that brings the arena to the disk, as `spool_sync` says."""

import threading
import time

from dataart_mp.queue.arena import Arena
from dataart_mp.queue.sync_rounds import SyncRounds
from dataart_mp.worker.reporter import Reporter


def start_syncing(arena: Arena, reporter: Reporter) -> None:
    """Start the thread, if the arena has durability. It lives as long as the process.

    Args:
        arena: The arena of the worker.
        reporter: Notifies the application when the disk fails.
    """
    if not arena.durability:
        return
    arena.syncer.report = reporter.trouble
    try:
        threading.Thread(target=_run, args=(arena,), name="sync", daemon=True).start()
    except RuntimeError as error:  # a limit of memory or of processes; other workers have one
        reporter.trouble(f"spool_sync: {error}; raise the limits of memory or of processes")


def _run(arena: Arena) -> None:
    rounds = SyncRounds(arena)
    while True:
        time.sleep(rounds.run_if_due())
