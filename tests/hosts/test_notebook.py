"""A Jupyter kernel, which its server interrupts, restarts and shuts down."""

import sys

import pytest

from tests.hosts.host import CLIENT, StartHost

pytest.importorskip("ipykernel", reason="ipykernel has no release for this interpreter")
pytest.importorskip("jupyter_client", reason="jupyter_client has no release for this interpreter")
# It does what a notebook server does for one notebook.
SERVER = """
import os, time
from jupyter_client.manager import start_new_kernel

def run(code):
    reply = client.execute_interactive(code, timeout=30)
    assert reply["content"]["status"] == "ok", reply

manager, client = start_new_kernel(kernel_name="python3")
run("from app import *; import os; print('kernel', os.getpid())")
run("emit(0)")
run("assert client.flush(20) == 0")

# Not one long sleep: Python does not notice a signal that comes just before a call that waits.
client.execute(
    "import time; emit(1); open('busy', 'w').close()\\nwhile True: time.sleep(0.01)",
    stop_on_error=False,
)
while not os.path.exists("busy"):
    time.sleep(0.01)
manager.interrupt_kernel()
run("emit(2)")
run("assert client.flush(20) == 0; print(client)")
run("for number in range(3, 30): emit(number)")

manager.restart_kernel(now=True)  # by SIGKILL
client.wait_for_ready(timeout=30)
run("from app import *")
run("for number in range(30, 45): emit(number)")
client.stop_channels()
manager.shutdown_kernel()
"""


def test_events_of_a_notebook_arrive_after_an_interrupt_a_restart_and_a_shutdown(
    host: StartHost,
) -> None:
    files = {"app.py": CLIENT, "server.py": SERVER}
    server = host(files, sys.executable, "server.py", flush_interval=1000)
    assert server.check_end(60) == 0, server.log
    server.check_arrived(range(45))
    assert "<Client open | accepted 3 | delivered 3 | pending 0>" in server.log
