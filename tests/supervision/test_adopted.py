"""Process 1 of a container, or a subreaper, reaps the workers that it has adopted."""

import os
import subprocess
import sys
import textwrap

import pytest

from dataart_mp.devsink.process import SinkProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")

INIT = textwrap.dedent("""
    import ctypes, logging, os, signal, sys, threading, time
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: be process 1
    sys.path[:0] = sys.argv[2].split(os.pathsep)
    import psutil
    from dataart_mp import Client, ClientConfig
    from dataart_mp.supervision import adopted

    def make():
        return Client(ClientConfig("key", base_url=sys.argv[1], flush_interval=0.1))

    def wait_for(reached):
        deadline = time.monotonic() + 30
        while not reached():
            assert time.monotonic() < deadline, psutil.Process().children()
            time.sleep(0.01)

    def children():
        return psutil.Process().children()
""")


def run_as_init(text: str, sink: SinkProcess) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INIT + textwrap.dedent(text), sink.url, os.pathsep.join(sys.path)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("ok\n", "", 0)


def test_clients_that_are_closed_leave_no_zombies(platform: SinkProcess) -> None:
    run_as_init(
        """
        for _ in range(3):
            with make() as client:
                client.emit_action("tick", "ann")
        wait_for(lambda: not children())
        wait_for(lambda: threading.active_count() == 1)
        print("ok")
        """,
        platform,
    )


def test_workers_that_outlive_their_client_leave_no_zombies(platform: SinkProcess) -> None:
    """The platform does not respond for a while; nobody calls the package any more."""
    platform.set_faults({"kind": "latency", "seconds": 2})
    run_as_init(
        """
        client = make()
        client.emit_action("tick", "ann")
        assert client.close(0.3) == 1
        assert children()
        wait_for(lambda: not children())
        print("ok")
        """,
        platform,
    )


def test_workers_that_other_processes_started_leave_no_zombies(platform: SinkProcess) -> None:
    run_as_init(
        """
        adopted._INIT = os.getpid()  # as process 1, which knows that it adopts
        client = make()
        child = os.fork()
        if not child:
            client.emit_action("tick", "ann")
            os._exit(client.flush(20))
        assert os.waitpid(child, 0)[1] == 0
        first = client._engine.workers()
        assert first
        client.emit_action("tick", "bob")
        assert client.flush(20) == 0
        for worker in client._engine.workers():
            os.kill(worker, signal.SIGKILL)
        logging.disable()
        wait_for(lambda: not any(psutil.pid_exists(pid) for pid in first))
        client.emit_action("tick", "eve")
        assert client.flush(20) == 0
        client.close(20)
        wait_for(lambda: not children())
        print("ok")
        """,
        platform,
    )


def test_children_of_the_application_are_left_to_it(platform: SinkProcess) -> None:
    run_as_init(
        """
        adopted._INIT = os.getpid()
        own = os.fork()
        if not own:
            os._exit(7)
        with make() as client:
            client.emit_action("tick", "ann")
        wait_for(lambda: [child.pid for child in children()] == [own])
        assert not adopted.reap()
        assert os.waitstatus_to_exitcode(os.waitpid(own, 0)[1]) == 7
        print("ok")
        """,
        platform,
    )
