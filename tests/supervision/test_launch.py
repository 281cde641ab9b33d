"""A worker starts from its brief alone: it shows no secret and inherits nothing else."""

import contextlib
import itertools
import os
import resource
import signal
import ssl
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest
import trustme

from dataart_mp import ClientConfig, HTTPOptions
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.errors import DescriptorsClosedError
from dataart_mp.supervision import interpreter
from dataart_mp.supervision.launch import Launch
from tests.support import wait_until
from tests.transport.servers import KEY, Serve
from tests.worker.crew import Crew, MakeCrew, descriptors, proc

IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SECRETS = HTTPOptions(
    proxy="http://ann:proxy-secret@127.0.0.1:9",
    headers={"Authorization": "Bearer header-secret"},
)

POLLER = "anon_inode:[eventpoll]"


@pytest.fixture
def crew(make_crew: MakeCrew) -> Crew:
    return make_crew(api_key=KEY, flush_buffer_size=1000)


@pytest.fixture
def launch(crew: Crew) -> Iterator[Callable[..., Launch]]:
    """Launches workers at places of the crew's arena, each with its own configuration."""
    launches: list[Launch] = []

    def start(place: int = 0, **settings: Any) -> Launch:
        defaults = {"api_key": KEY, "base_url": crew.config.base_url}
        config = ClientConfig(**{**defaults, **settings})
        launches.append(Launch(crew.inheritance(), config, place, None))
        return launches[-1]

    yield start
    for made in launches:
        made.kill()
        wait_until(made.reap)
        made.close()


def until_ready(launch: Launch) -> None:
    wait_until(lambda: not launch.read() or launch.ready)
    assert launch.ready, launch.error


def worker_of(crew: Crew, launch: Launch) -> int:
    until_ready(launch)
    (pid,) = crew.places
    assert pid is not None
    return pid


# Secrets


def test_no_secret_is_in_the_arguments_or_the_environment(
    crew: Crew, launch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATAART_API_KEY", KEY)
    monkeypatch.setenv("DATAART_HTTP_PROXY", "http://ann:proxy-secret@127.0.0.1:9")
    monkeypatch.setenv("UNRELATED", "kept")
    started, *seen = launch_and_look(crew, launch)
    worker = worker_of(crew, started)
    seen += [proc(worker, "cmdline"), proc(worker, "environ")]
    for shown in seen:
        text = shown
        assert KEY not in text
        assert "proxy-secret" not in text
        assert "header-secret" not in text
        for harmless in (interpreter.GUARD, "DATAART_MP_COMPILED"):
            text = text.replace(harmless, "")
        assert "DATAART" not in text
    assert "UNRELATED=kept" in seen[-1]
    assert "dataart_mp worker 0" in seen[-2], "so that ps shows what it is"


def launch_and_look(crew: Crew, launch: Any) -> tuple[Launch, str, str]:
    """Launch a worker, and return the arguments and the environment of the process that starts it.

    That process lives for some milliseconds. If it has ended, another worker is launched.
    """
    while True:
        started = launch(http=SECRETS)
        try:
            return started, proc(started.pid, "cmdline"), proc(started.pid, "environ")
        except ProcessLookupError:
            os.kill(worker_of(crew, started), signal.SIGKILL)
            wait_until(lambda: crew.places == [None])


# A separate process


def test_a_worker_ignores_the_signals_that_end_an_application(
    crew: Crew, launch: Any, platform: SinkProcess
) -> None:
    worker = worker_of(crew, launch())
    for number in IGNORED:
        os.kill(worker, number)
    crew.emit("tick")
    platform.wait_for(lambda stats: stats["actions"] == 1)
    assert crew.places == [worker]
    ignored = int(_status_line(worker, "SigIgn"), 16)
    blocked = int(_status_line(worker, "SigBlk"), 16)
    assert all(ignored & 1 << number - 1 for number in IGNORED)
    assert blocked == 0


def test_a_worker_ignores_these_signals_from_its_start(crew: Crew, launch: Any) -> None:
    """`systemctl stop` signals every process of a service, even one that is starting."""
    started = launch()
    for _ in range(50):
        for number in IGNORED:
            os.killpg(started.pid, number)
        time.sleep(0.002)
    until_ready(started)
    assert None not in crew.places


def test_the_starter_receives_signals_as_before(crew: Crew, launch: Any) -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        launch()
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]


def test_a_worker_has_its_own_session_and_is_not_a_child(crew: Crew, launch: Any) -> None:
    started = launch()
    worker = worker_of(crew, started)
    assert os.getsid(worker) == started.pid != os.getsid(0)
    assert os.getpgid(worker) != os.getpgid(0)
    assert psutil.Process(worker).ppid() != os.getpid()
    wait_until(started.reap)
    assert not psutil.pid_exists(started.pid)
    with pytest.raises(ChildProcessError):
        os.waitpid(worker, os.WNOHANG)


def test_a_worker_keeps_no_directory_busy(
    crew: Crew, launch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    worker = worker_of(crew, launch())
    assert Path(f"/proc/{worker}/cwd").readlink() == Path("/")


def test_a_worker_holds_only_the_descriptors_that_it_needs(
    crew: Crew, launch: Any, tmp_path: Path
) -> None:
    """No open files or sockets, and no end of a pipe whose reader waits for its end."""
    with (tmp_path / "open").open("w") as file, inheritable(file.fileno()):
        started = launch()
        worker = worker_of(crew, started)
        wait_until(lambda: POLLER in descriptors(worker).values())
    held, ours = descriptors(worker), descriptors(os.getpid())
    assert {held.pop(stream) for stream in (0, 1, 2)} == {"/dev/null"}
    needed = [ours[fd] for fd in asdict(crew.inheritance()).values()]
    needed += [ours[started.status], ours[crew.queue.arena.fd]]  # the mapping has one, too
    rest = Counter(held.values()) - Counter(needed)
    assert not Counter(needed) - Counter(held.values())
    assert rest.pop(POLLER) == 1
    assert [*rest.values()] == [2, 2], "the ends of the wakeup pipes of its two threads"
    assert not rest.keys() & set(ours.values())
    life = [fd for fd, what in held.items() if what == ours[crew.wiring.life_write_fd]]
    assert [_access(worker, fd) for fd in life] == [os.O_RDONLY], (
        "so that it ends with the last producer"
    )


def test_a_process_that_a_pool_factory_starts_inherits_nothing(
    crew: Crew, launch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "starting_pools.py").write_text(
        "import os, subprocess, urllib3\n"
        "def make(config):\n"
        "    listed = subprocess.run(['ls', '/proc/self/fd'], close_fds=False,\n"
        "                            stdout=subprocess.PIPE).stdout\n"
        f"    open({str(tmp_path / 'listed')!r}, 'wb').write(listed)\n"
        "    return urllib3.PoolManager()\n"
    )
    until_ready(launch(pool_factory="starting_pools:make"))
    listed = {int(fd) for fd in (tmp_path / "listed").read_text().split()}
    assert len(listed - {0, 1, 2}) == 1, "the directory that ls reads"


# What a worker must find


def test_modules_of_the_application_are_found_on_a_relative_path(
    crew: Crew, launch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "apps").mkdir()
    (tmp_path / "apps" / "relative_pools.py").write_text(
        "import urllib3\ndef make(config): return urllib3.PoolManager()\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["apps", *sys.path])
    until_ready(launch(pool_factory="relative_pools:make"))


def test_a_worker_starts_from_a_directory_that_was_removed(
    crew: Crew, launch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deployment may replace the directory of the running application."""
    (tmp_path / "release").mkdir()
    monkeypatch.chdir(tmp_path / "release")
    monkeypatch.setattr(sys, "path", ["", "lib", *sys.path])
    (tmp_path / "release").rmdir()
    until_ready(launch())
    monkeypatch.chdir(tmp_path)


def test_a_relative_ca_file_is_found(
    launch: Any,
    crew: Crew,
    serve: Serve,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even though the worker changes its directory before its first connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = serve(lambda peer: peer.respond_to_all(), tls=context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.chdir(tmp_path)
    until_ready(launch(base_url=server.url, http=HTTPOptions(ca_file="ca.pem")))
    crew.emit("tick")
    wait_until(lambda: crew.delivered() == 1)


def test_a_key_may_be_of_a_subclass_of_str(crew: Crew, launch: Any, serve: Serve) -> None:
    class Secret(str):
        """As in several frameworks."""

    server = serve(lambda peer: peer.respond_to_all())
    until_ready(launch(api_key=Secret(KEY), base_url=server.url))
    crew.emit("tick")
    wait_until(lambda: server.requests)
    assert server.requests[0].headers["x-api-key"] == KEY


def test_output_of_the_application_at_import_is_not_an_error(
    crew: Crew, launch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "talking_pools.py").write_text(
        "import sys, urllib3\n"
        "def make(config):\n"
        "    print('no newline', end='', flush=True)\n"
        "    print('x' * 200_000, file=sys.stderr, flush=True)\n"
        "    return urllib3.PoolManager()\n"
    )
    until_ready(launch(pool_factory="talking_pools:make"))


def assert_in_flight(crew: Crew, platform: SinkProcess, expected: int) -> None:
    """Check how many requests are in flight when there is enough work, and no response."""
    platform.set_faults({"kind": "hang"})
    for _ in range(10):
        crew.emit("tick")
    platform.wait_for(lambda stats: stats["in_flight"] == expected)
    time.sleep(0.2)
    assert platform.stats()["in_flight"] == expected
    platform.clear_faults()


def test_the_starter_decides_how_many_processes_share_the_requests_in_flight(
    crew: Crew, launch: Any, platform: SinkProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker may see other CPUs, and would choose another number of processes."""
    monkeypatch.setattr("dataart_mp.config.client_config.available_cpus", lambda: 3)
    until_ready(launch(flush_num_workers=6, flush_max_batch_size=None))
    assert_in_flight(crew, platform, 2)


@pytest.mark.parametrize(("place", "share"), [(0, 3), (1, 2), (2, 2)])
def test_the_requests_in_flight_of_all_places_add_up(
    crew: Crew, launch: Any, platform: SinkProcess, place: int, share: int
) -> None:
    settings = {"flush_num_workers": 7, "flush_num_processes": 3, "flush_max_batch_size": None}
    until_ready(launch(place, **settings))
    assert_in_flight(crew, platform, share)


CLOSED = """
import os, sys
for stream in map(int, sys.argv[2]):
    os.close(stream)
from dataart_mp import Client, ClientConfig
client = Client(ClientConfig("key", base_url=sys.argv[1], flush_num_processes=1))
client.emit_action("tick", "ann")
os._exit(client.close(20))
"""


@pytest.mark.parametrize("streams", ["0", "1", "2", "01", "02", "12", "012"])
def test_workers_start_even_if_the_application_has_closed_its_standard_streams(
    platform: SinkProcess, streams: str
) -> None:
    """The arena or a pipe then has the number of a standard stream."""
    done = subprocess.run(
        [sys.executable, "-c", CLOSED, platform.url, streams],
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert platform.stats()["actions"] == 1


# Starts that fail


def test_a_launch_that_fails_leaves_nothing_behind(
    crew: Crew, launch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, children = descriptors(os.getpid()), psutil.Process().children()
    monkeypatch.setattr(interpreter, "find", lambda: "/no/such/python")
    with pytest.raises(FileNotFoundError):
        launch()
    assert descriptors(os.getpid()).keys() == before.keys()
    assert psutil.Process().children() == children


def test_a_start_that_fails_without_a_message_has_an_error_that_says_so(
    launch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreter, "find", lambda: "/bin/false")
    started = launch()
    started.wait(20)
    assert started.error == "it ended without a message"
    assert not started.ready


# In process 1 of a container

INIT = textwrap.dedent("""
    import ctypes, os, signal, sys, time
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: be process 1
    sys.path[:0] = sys.argv[2].split(os.pathsep)
    from tests.worker.crew import Crew
    from dataart_mp import ClientConfig
    import psutil

    crew = Crew(ClientConfig("key", base_url=sys.argv[1], flush_num_processes=1))
    for round in range(3):
        crew.check_until(crew.all_ready)
        (worker,) = crew.places
        assert psutil.Process(worker).ppid() == os.getpid()
        os.kill(worker, signal.SIGKILL)
        crew.check_until(lambda: crew.all_ready() and crew.places != [worker])
        crew.check_until(lambda: not psutil.pid_exists(worker))
    children = psutil.Process().children()
    crew.close()
    print(len(children))
""")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
def test_dead_workers_leave_no_zombies_if_the_application_is_process_1(
    platform: SinkProcess,
) -> None:
    """A container often has no init, so orphans become children of the application."""
    done = subprocess.run(
        [sys.executable, "-c", INIT, platform.url, os.pathsep.join(sys.path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr


@contextlib.contextmanager
def inheritable(fd: int) -> Iterator[None]:
    """Let a fork and exec pass on a descriptor."""
    os.set_inheritable(fd, True)
    yield
    os.set_inheritable(fd, False)


def _access(pid: int, fd: int) -> int:
    """Return how a descriptor was opened."""
    lines = Path(f"/proc/{pid}/fdinfo/{fd}").read_text().splitlines()
    (flags,) = (line.split()[1] for line in lines if line.startswith("flags:"))
    return int(flags, 8) & os.O_ACCMODE


def _status_line(pid: int, name: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(name + ":"))


def test_a_start_that_fails_because_there_are_no_descriptors_leaves_none_open(
    crew: Crew,
) -> None:
    """Otherwise each further attempt would make it worse."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = descriptors(os.getpid())
    free = (number for number in itertools.count() if number not in before)
    for limit in itertools.islice(free, 4):  # for none, one, two, three more; it takes four
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                Launch(crew.inheritance(), crew.config, 0, None)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert descriptors(os.getpid()) == before


# Descriptors that the application closes


def test_a_status_pipe_whose_number_belongs_to_another_file_is_neither_read_nor_closed(
    launch: Any,
) -> None:
    started = launch()
    until_ready(started)
    number = started.status
    reader, writer = os.pipe()
    try:
        os.dup2(reader, number)
        os.write(writer, b"of the application")
        with pytest.raises(DescriptorsClosedError):
            started.read()
        with pytest.raises(DescriptorsClosedError):
            started.wait(1.0)
        started.close()
        assert os.read(number, 100) == b"of the application"
    finally:
        for descriptor in (reader, writer, number):
            os.close(descriptor)
