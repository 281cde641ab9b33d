"""Threads in the application's process: they hear no signal, and hold up no end of it.

A signal to the process goes to any thread that does not block it. A thread of ours that blocked
none would take what the application has its own threads block, to wait for it (`sigwait`) or to
finish something first, and the process would die of it.

In an interpreter that takes itself apart no thread runs but the one that does it. It would wait for
ever for another one's start, and in vain for its end.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Set
from typing import Final

# What a thread has done itself, such as SIGSEGV, is not to be blocked.
_OWN: Final = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
_SIGNALS: Final = signal.valid_signals() - _OWN


class Thread(threading.Thread):
    """One of ours.

    Python 3.11 takes a thread for ended when Ctrl-C interrupts a `join`; so it tells itself.

    Args:
        work: what it does.
        name: what it is called.
    """

    def __init__(self, work: Callable[[], object], name: str) -> None:
        super().__init__(name=f"dataart_mp {name}", daemon=True)
        self._work = work
        self.has_ended = threading.Event()

    def run(self) -> None:
        """Do the work."""
        try:
            self._work()
        finally:
            self.has_ended.set()


def start(thread: Thread) -> bool:
    """Start a thread that hears no signal: it is born with the mask of this one.

    Not the thread itself sets its mask: under gevent it is no thread, and its mask is everybody's.

    Returns:
        False when the interpreter is shutting down: it starts no thread any more.

    Raises:
        RuntimeError: The system gives no thread; it may later.
    """
    if sys.is_finalizing():  # before Python 3.12 nothing but a hang would tell
        return False
    try:
        with _mask(signal.SIG_BLOCK, _SIGNALS):
            thread.start()
    except RuntimeError as error:
        if "shutdown" in str(error):
            return False
        raise
    return True


def join(thread: Thread, seconds: float) -> bool:
    """Wait until a thread has ended; False when it has not, or when that cannot be waited for."""
    if thread.ident is None:
        return True
    if thread is threading.current_thread() or sys.is_finalizing():
        return False
    try:
        return thread.has_ended.wait(seconds)
    except AssertionError:  # gevent's loop, where the collector may find a client, cannot wait
        return False


def stay_away() -> None:
    """Never return: this is a forked child, and not the thread but its copy.

    gevent's threads are greenlets, which a fork takes along. `threading` has forgotten them by
    then, and would complain of their end.
    """
    threading.Event().wait()


def current_mask() -> Set[int]:
    """The signals that this thread blocks."""
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())


def with_mask(signals: Set[int]) -> contextlib.AbstractContextManager[None]:
    """Inside, this thread, and what it starts, blocks these signals and no others."""
    return _mask(signal.SIG_SETMASK, signals)


@contextlib.contextmanager
def _mask(how: signal.Sigmasks, signals: Set[int]) -> Iterator[None]:
    before = signal.pthread_sigmask(how, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
