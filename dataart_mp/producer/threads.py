"""Background threads in the application's process.

They block all signals. The kernel delivers a signal for the process to any thread that does not
block it. If the application blocks a signal in all its threads, to wait for it with `sigwait` or to
postpone it, a thread of this package must not receive it: its default action would end the process.

They do not delay the exit of the process. During interpreter shutdown only the finalizing thread
runs, so waiting for another thread to start or to end would never return.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Set
from typing import Final

# The kernel raises these for an error of the thread itself; they must not be blocked.
_SYNCHRONOUS: Final = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
_SIGNALS: Final = signal.valid_signals() - _SYNCHRONOUS


class Thread(threading.Thread):
    """A daemon thread that records its own end.

    Python 3.11 considers a thread ended when Ctrl-C interrupts a `join`, so `join` below waits for
    `has_ended` instead.

    Args:
        work: Runs in the thread.
        name: Name of the thread, after the prefix `dataart_mp`.
    """

    def __init__(self, work: Callable[[], object], name: str) -> None:
        super().__init__(name=f"dataart_mp {name}", daemon=True)
        self._work = work
        self._calls: list[Callable[[], object]] = []
        self.has_ended = threading.Event()

    def run(self) -> None:
        """Run the work, then the calls of `after_end`."""
        try:
            self._work()
        finally:
            self.has_ended.set()
            self._make_calls()

    def after_end(self, call: Callable[[], object]) -> None:
        """Have this thread make a call at its end; if it has ended already, make the call now."""
        self._calls.append(call)
        if self.has_ended.is_set():
            self._make_calls()

    def _make_calls(self) -> None:
        with contextlib.suppress(IndexError):  # each call is popped, and made, by one thread
            while True:
                self._calls.pop()()


def start(thread: Thread) -> bool:
    """Start a thread that blocks all signals, unless it was started before.

    It inherits its mask from the calling thread.

    The thread does not set the mask itself: under gevent it is a greenlet, and the mask would apply
    to all of them.

    Returns:
        False if the interpreter is shutting down, when no thread can be started.

    Raises:
        RuntimeError: The system cannot start a thread at the moment.
    """
    if thread.ident is not None:
        return True
    if sys.is_finalizing():  # before Python 3.12, `start` would hang
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
    """Wait until a thread has ended; return False on timeout, or if waiting is impossible."""
    if thread.ident is None:
        return True
    if thread is threading.current_thread() or sys.is_finalizing():
        return False
    try:
        return thread.has_ended.wait(seconds)
    except AssertionError:  # a client was garbage-collected in gevent's loop, which cannot wait
        return False


def stay_away() -> None:
    """Block forever: the copy of a thread in a forked child must neither run nor end.

    Under gevent threads are greenlets, which a fork copies. `threading` has no record of the copy,
    and would report an error at its end.
    """
    threading.Event().wait()


def current_mask() -> Set[int]:
    """Return the signals that the calling thread blocks."""
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())


def with_mask(signals: Set[int]) -> contextlib.AbstractContextManager[None]:
    """Block exactly these signals in the calling thread, and in processes that it starts."""
    return _mask(signal.SIG_SETMASK, signals)


@contextlib.contextmanager
def _mask(how: signal.Sigmasks, signals: Set[int]) -> Iterator[None]:
    before = signal.pthread_sigmask(how, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
