"""A thread of ours is waited for until it has really ended."""

import os
import signal
import threading

import pytest

from dataart_mp.producer import threads


def test_a_thread_whose_join_ctrl_c_interrupts_has_not_ended() -> None:
    """Python 3.11's own `join` takes it for ended from then on."""
    enough = threading.Event()
    thread = threads.Thread(lambda: enough.wait(30), "sleeper")
    threads.start(thread)
    interrupt = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        threads.join(thread, 30)
    interrupt.join()
    assert not threads.join(thread, 0.01)
    enough.set()
    assert threads.join(thread, 30)


def test_a_thread_that_never_started_need_not_be_waited_for() -> None:
    assert threads.join(threads.Thread(lambda: None, "nobody"), 0)


def test_a_thread_cannot_wait_for_itself() -> None:
    answers: list[bool] = []
    thread = threads.Thread(lambda: answers.append(threads.join(thread, 30)), "itself")
    threads.start(thread)
    assert threads.join(thread, 30)
    assert answers == [False]
