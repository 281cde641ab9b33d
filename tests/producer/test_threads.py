"""Waiting for a background thread returns only when the thread has ended."""

import os
import signal
import threading

import pytest

from dataart_mp.producer import threads


def test_a_thread_still_runs_after_ctrl_c_interrupted_a_join() -> None:
    """The `join` of Python 3.11 would consider it ended."""
    may_end = threading.Event()
    thread = threads.Thread(lambda: may_end.wait(30), "sleeper")
    threads.start(thread)
    interrupt = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        threads.join(thread, 30)
    interrupt.join()
    assert not threads.join(thread, 0.01)
    may_end.set()
    assert threads.join(thread, 30)


def test_joining_a_thread_that_never_started_returns_at_once() -> None:
    assert threads.join(threads.Thread(lambda: None, "unstarted"), 0)


def test_a_thread_cannot_join_itself() -> None:
    results: list[bool] = []
    thread = threads.Thread(lambda: results.append(threads.join(thread, 30)), "joiner")
    threads.start(thread)
    assert threads.join(thread, 30)
    assert results == [False]
