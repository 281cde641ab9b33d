"""Ways to start an application: a client needs no `__main__` guard and no file."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.hosts.host import CLIENT, StartHost, StartScript

# Where the code comes from


def test_a_script_without_a_guard_runs_once_under_the_spawn_start_method(
    script: StartScript,
) -> None:
    """`multiprocessing` would run the script again in each child."""
    app = script(
        """
import multiprocessing
multiprocessing.set_start_method("spawn")
print("started")
for number in range(50):
    emit(number)
"""
    )
    assert app.check_end() == 0
    app.check_arrived(range(50))
    assert app.log == "started\n"


def test_a_program_is_read_from_standard_input(host: StartHost, tmp_path: Path) -> None:
    """`python < app.py`: the workers must not read the rest of the file."""
    (tmp_path / "app.py").write_text(CLIENT + "for number in range(50): emit(number)\nprint('end')")
    with (tmp_path / "app.py").open() as file:
        app = host({}, sys.executable, "-X", "dev", stdin=file.fileno())
    assert app.check_end() == 0
    app.check_arrived(range(50))
    assert app.log == "end\n"


def test_a_program_is_given_on_the_command_line(host: StartHost) -> None:
    text = CLIENT + "for number in range(50): emit(number)"
    app = host({}, sys.executable, "-X", "dev", "-c", text)
    assert app.check_end() == 0
    app.check_arrived(range(50))
    assert app.log == ""


def test_a_program_is_a_module_of_a_package(host: StartHost, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    files = {
        "package/__init__.py": CLIENT,
        "package/__main__.py": "from package import emit\nfor number in range(50): emit(number)",
    }
    app = host(files, sys.executable, "-X", "dev", "-m", "package")
    assert app.check_end() == 0
    app.check_arrived(range(50))
    assert app.log == ""


TERMINAL = """
import pty, sys
sys.exit(pty.spawn(sys.argv[1:]))
"""


def test_a_program_is_typed_in_an_interactive_session(host: StartHost) -> None:
    """Ctrl-C at the prompt reaches all processes of the terminal, but no worker."""
    command = (sys.executable, "-c", TERMINAL, sys.executable, "-X", "dev", "-q")
    basic = {"PYTHON_BASIC_REPL": "1", "TERM": "dumb"}
    session = host({"app.py": CLIENT}, *command, stdin=subprocess.PIPE, **basic)

    def enter(text: str) -> None:
        assert session.process.stdin is not None
        session.process.stdin.write(text.encode())
        session.process.stdin.flush()

    session.until(lambda: ">>>" in session.log, "the prompt")
    enter("from app import *\n")
    enter("emit(1)\n")
    session.check_arrived([1])
    # The interpreter that forks a worker ends right after it, and is not a worker.
    pids = session.host_pids()
    session.until(
        lambda: all(process.ppid() not in pids for process in session.shippers()), "all workers"
    )
    before = {process.pid for process in session.shippers()}
    enter("\x03")
    session.until(lambda: "KeyboardInterrupt" in session.log, "the interrupt")
    enter("emit(2)\n")
    session.check_arrived([1, 2])
    assert before <= {process.pid for process in session.shippers()}
    enter("emit(3)\n")
    enter("client\n")
    session.until(lambda: "<Client open | accepted 3" in session.log, "the client's repr")
    enter("\x04")
    assert session.check_end() == 0
    session.check_arrived([1, 2, 3])


# Processes of `multiprocessing`


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_events_of_a_pool_of_daemonic_processes_arrive(script: StartScript, method: str) -> None:
    """Such processes may have no children of `multiprocessing`, and run no exit handlers."""
    app = script(
        f"""
import multiprocessing
if __name__ == "__main__":
    with multiprocessing.get_context({method!r}).Pool(2, maxtasksperchild=8) as pool:
        pool.map(emit, range(40), chunksize=1)  # the `with` block then terminates the pool
""",
        flush_interval=1000,
    )
    assert app.check_end() == 0
    app.check_arrived(range(40))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_events_of_a_daemonic_process_that_ends_with_its_parent_arrive(
    script: StartScript, method: str
) -> None:
    app = script(
        f"""
import multiprocessing, time

def work(connection):
    emit(2)
    connection.send("emitted")
    time.sleep(1000)

if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    parent_end, child_end = context.Pipe()
    emit(1)
    context.Process(target=work, args=(child_end,), daemon=True).start()
    parent_end.recv()
    emit(3)
""",
        flush_interval=1000,
    )
    assert app.check_end() == 0
    app.check_arrived([1, 2, 3])


def test_a_process_that_is_forked_while_workers_start_delays_no_worker(script: StartScript) -> None:
    """Such a process inherits the descriptors that the start uses, and keeps them open."""
    app = script(
        """
import os, signal, threading, time

def fork():
    pid = os.fork()
    if not pid:
        signal.pause()
    children.append(pid)

children = []
threads = [threading.Thread(target=lambda: [fork() for _ in range(40)]) for _ in range(2)]
for thread in threads:
    thread.start()
emit(1)
for thread in threads:
    thread.join()
emit(2)
while client.stats().delivered < 2:
    time.sleep(0.01)
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
print(client.close(10))
"""
    )
    assert app.check_end() == 0
    app.check_arrived([1, 2])
    assert "\n0\n" in f"\n{app.log}"


# Signals of the application


def test_a_signal_that_the_application_has_blocked_is_not_delivered_to_our_threads(
    script: StartScript,
) -> None:
    """The application waits for the signal, which would end the process in another thread."""
    app = script(
        """
import os, signal, threading
emit(0)
assert threading.active_count() > 1
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
os.kill(os.getpid(), signal.SIGTERM)
emit(1)
print(signal.sigwait([signal.SIGTERM]).name)
"""
    )
    assert app.check_end() == 0
    assert app.log == "SIGTERM\n"
    app.check_arrived([0, 1])


def test_processes_that_on_failure_starts_have_no_blocked_signals(script: StartScript) -> None:
    app = script(
        """
import dataclasses, subprocess, sys, threading
done = threading.Event()

def on_failure(failure):
    code = "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    subprocess.run([sys.executable, "-c", code], check=True)
    done.set()

other = Client(dataclasses.replace(client.config, on_failure=on_failure, flush_num_retries=0,
               base_url="http://127.0.0.1:9"))
other.emit_action("lost", "ann")
other.flush(10)
assert done.wait(10)
other.close()
"""
    )
    assert app.check_end() == 0
    assert "set()" in app.log


# Programs that cannot start workers


FROZEN = """
import sys
sys.frozen = True
sys.executable = sys.argv[1]
try:
    import app
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


def test_a_frozen_application_is_refused_before_it_starts_itself_again(
    host: StartHost, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    bundle.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    bundle.chmod(0o700)
    files = {"app.py": CLIENT, "frozen.py": FROZEN}
    app = host(files, sys.executable, "frozen.py", str(bundle))
    app.process.wait(20)
    assert app.log.startswith(f"ConfigError: {bundle} is a frozen application")
    assert "multiprocessing.set_executable" in app.log
    assert not (tmp_path / "started").exists()


def test_a_program_that_is_mistaken_for_python_does_not_multiply(
    host: StartHost, tmp_path: Path
) -> None:
    """The worst case: a program called python that runs the application with any arguments."""
    fake = tmp_path / "python-app"
    runs = tmp_path / "runs"
    fake.write_text(f"#!/bin/sh\necho run >>{runs}\nexec {sys.executable} app.py 2>>errors\n")
    fake.chmod(0o700)
    text = textwrap.dedent(
        """
        import time
        emit(1)
        time.sleep(1)
        """
    )
    head = f"import sys; sys.executable = {str(fake)!r}\n"
    app = host({"app.py": head + CLIENT + text}, sys.executable, "app.py")
    app.until(runs.exists, "the first mistaken start")
    app.process.wait(20)
    app.until(lambda: not app.processes(), "no process is left")
    assert "the application itself" in (tmp_path / "errors").read_text()
    assert runs.read_text().count("run") < 20, "further attempts are made ever more slowly"
    assert app.process.returncode == 0


def test_a_daemon_has_no_standard_streams(host: StartHost, tmp_path: Path) -> None:
    """`python app.py <&- >&- 2>&-`: the next descriptors that are opened are 0, 1 and 2."""
    (tmp_path / "app.py").write_text(CLIENT + "for number in range(50): emit(number)")
    app = host({}, "sh", "-c", f"exec {sys.executable} app.py <&- >&- 2>&-")
    assert app.check_end() == 0
    app.check_arrived(range(50))
