"""`dataart-mp doctor`: each problem is found and reported with a remedy."""

import errno
import http.server
import json
import os
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import trustme

from dataart_mp import ClientConfig
from dataart_mp.cli.doctor.checkup import checkup
from dataart_mp.cli.doctor.delivery import EVENT_KEY
from dataart_mp.cli.doctor.descriptors import check_descriptors
from dataart_mp.cli.doctor.finding import FailedError, Finding, Outcome
from dataart_mp.cli.doctor.memory import check_memory, check_shared_memory, memory_left
from dataart_mp.cli.doctor.route import check_route, judge_clock
from dataart_mp.cli.doctor.spool import check_spool
from dataart_mp.config import HTTPOptions
from dataart_mp.devsink import SinkProcess
from dataart_mp.errors import BufferFullError
from tests.cli.terminal import run, run_limited
from tests.support import environment

NOW = datetime(2021, 5, 4, 10, 11, 12, tzinfo=UTC)
CONFIG = ClientConfig("k", base_url="http://127.0.0.1:9", flush_num_processes=2)


def test_a_working_setup_passes_all_checks_and_one_event_arrives() -> None:
    with SinkProcess(api_key="good-key") as sink:
        good = environment(DATAART_API_KEY="good-key", DATAART_BASE_URL=sink.url)
        done = run("doctor", env=good)
        events = sink.events()
        refused = run("doctor", "--json", env={**good, "DATAART_API_KEY": "bad-key"})

    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("\n0 failures, 0 warnings.\n")
    assert all(f"✓ {check} " in done.stdout for check in ("clock", "API key", "test event"))
    assert [event["key"] for event in events] == [EVENT_KEY]
    assert refused.returncode == 1
    findings = {finding["check"]: finding for finding in json.loads(refused.stdout)["findings"]}
    assert findings["API key"]["outcome"] == "failure"
    assert "copy the key from the platform's project" in findings["API key"]["remedy"]
    assert findings["connection"]["outcome"] == "ok"


@pytest.mark.parametrize(
    ("limit", "remedy"), [("-f 1", "ulimit -f unlimited"), ("-n 12", "ulimit -n 1024")]
)
def test_a_limit_that_prevents_a_client_is_reported_and_the_other_checks_run(
    sink: SinkProcess, limit: str, remedy: str
) -> None:
    env = environment(DATAART_API_KEY="k", DATAART_BASE_URL=sink.url)

    done = run_limited(limit, "doctor", "--json", env=env)

    assert (done.returncode, done.stderr) == (1, "")
    findings = {finding["check"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert findings["clock"]["outcome"] == "ok"
    assert findings["test event"]["outcome"] == "failure"
    assert remedy in findings["test event"]["remedy"]
    assert "descriptors" in findings


def test_an_unexpected_error_is_a_failure_of_its_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Iterator[Finding]:
        raise BufferFullError("no worker can start")

    monkeypatch.setattr("dataart_mp.cli.doctor.checkup.send_event", fail)
    findings = {finding.check: finding for finding in checkup(CONFIG, 1.0, event=True)}

    assert findings["test event"].outcome is Outcome.FAILURE
    assert findings["test event"].detail == "no worker can start"
    assert findings["test event"].remedy
    assert {"memory", "shared memory", "descriptors"} <= findings.keys()


def test_without_an_api_key_the_first_finding_says_where_to_set_it() -> None:
    done = run("doctor", env=environment())

    assert done.returncode == 1
    assert "set DATAART_API_KEY, or give --api-key-file FILE" in done.stdout


def test_an_unusable_proxy_variable_is_reported_without_its_password() -> None:
    proxied = environment(
        DATAART_API_KEY="k", DATAART_BASE_URL="https://a.invalid", HTTPS_PROXY="socks5://u:p@h:1"
    )
    done = run("doctor", env=proxied)

    assert done.returncode == 1
    assert "✗ configuration" in done.stdout
    assert "HTTPS_PROXY: proxy='socks5://***@h:1'" in done.stdout


@pytest.mark.parametrize(
    ("config", "check", "remedy"),
    [
        (ClientConfig("k", base_url="http://no-such-host.invalid"), "name resolution", "DNS"),
        (CONFIG, "connection", "that the platform (or the proxy) is running"),
        (
            ClientConfig(
                "k", base_url="http://a.invalid", http=HTTPOptions(proxy="http://u:p@127.0.0.1:9")
            ),
            "connection",
            "that the platform (or the proxy) is running",
        ),
    ],
)
def test_the_failing_step_of_the_route_is_reported(
    config: ClientConfig, check: str, remedy: str
) -> None:
    with pytest.raises(FailedError) as caught:
        list(check_route(config, timeout=5.0))

    assert caught.value.finding.check == check
    assert remedy in caught.value.finding.remedy
    assert "u:p" not in str(caught.value.finding)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_port(authority: trustme.CA) -> Iterator[int]:
    """The port of a TLS server on 127.0.0.1 whose certificate expires tomorrow."""

    class Quiet(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.send_response(404)
            self.end_headers()

    soon = datetime.now(UTC) + timedelta(days=1, hours=1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", not_after=soon.replace(tzinfo=None)).configure_cert(context)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_the_certificate_is_checked(authority: trustme.CA, tls_port: int, tmp_path: Path) -> None:
    url = f"https://127.0.0.1:{tls_port}"
    with pytest.raises(FailedError) as caught:
        list(check_route(ClientConfig("k", base_url=url), timeout=5.0))
    assert caught.value.finding.check == "TLS"
    assert "DATAART_HTTP_CA_FILE" in caught.value.finding.remedy

    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    trusting = ClientConfig("k", base_url=url, http=HTTPOptions(ca_file=ca_file))
    found = {finding.check: finding for finding in check_route(trusting, timeout=5.0)}

    assert found["TLS"].outcome is Outcome.WARNING
    assert found["TLS"].detail.endswith("the certificate is valid for 1 more days")
    assert found["clock"].outcome is Outcome.OK


def test_a_server_without_tls_is_reported(sink: SinkProcess) -> None:
    with pytest.raises(FailedError) as caught:
        list(
            check_route(
                ClientConfig("k", base_url=sink.url.replace("http", "https", 1)), timeout=5.0
            )
        )

    assert caught.value.finding.check == "TLS"
    assert "check that this port uses TLS" in caught.value.finding.remedy


@pytest.mark.parametrize(
    ("seconds", "outcome"),
    [(0, "ok"), (-4, "ok"), (8, "warning"), (-8, "warning"), (90, "failure"), (-90, "failure")],
)
def test_the_clock_is_compared_with_that_of_the_platform(seconds: int, outcome: str) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)

    try:
        finding = judge_clock(date, NOW)
    except FailedError as failed:
        finding = failed.finding

    assert finding.outcome == outcome
    if outcome != "ok":
        assert ("behind" if seconds > 0 else "ahead of") in finding.detail


@pytest.mark.parametrize("date", [None, "yesterday"])
def test_a_response_without_a_valid_date_is_not_a_failure(date: str | None) -> None:
    assert judge_clock(date, NOW).outcome is Outcome.SKIPPED


def groups(root: Path, lines: str, **files: str) -> Path:
    """Create a directory with /proc and /sys of control groups."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(lines)
    for name, text in files.items():
        file = root / "sys/fs/cgroup" / name.replace("__", "/").replace("memory_", "memory.")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_the_tightest_limit_of_all_control_groups_is_used(tmp_path: Path) -> None:
    two = groups(
        tmp_path / "two",
        "0::/app/web\n",
        app__memory_max="1000\n",
        app__memory_current="900\n",
        app__web__memory_max="max\n",
        app__web__memory_current="10\n",
        memory_max="5000\n",
        memory_current="1000\n",
    )
    one = groups(
        tmp_path / "one",
        "5:cpu:/\n4:memory:/host/path\n0::/\n",
        memory__memory_limit_in_bytes="3000\n".replace("memory_", "memory."),
        memory__memory_usage_in_bytes="1000\n",
    )
    unlimited = groups(tmp_path / "none", "0::/\n", memory_max="max\n", memory_current="10\n")

    assert memory_left(two) == (1000, 100)
    assert memory_left(one) == (3000, 2000)
    assert memory_left(unlimited) is None
    assert memory_left(tmp_path / "macos") is None


def test_a_buffer_larger_than_the_memory_left_is_a_warning(tmp_path: Path) -> None:
    limit, used = str(512 << 20), str(400 << 20)
    root = groups(tmp_path, "0::/\n", memory_max=limit, memory_current=used)

    finding = check_memory(CONFIG, root)

    assert finding.outcome is Outcome.WARNING
    assert finding.detail.startswith("112 MiB left of 512 MiB")
    assert "lower flush_buffer_size" in finding.remedy
    small = ClientConfig("k", flush_buffer_size=100, flush_num_processes=2)
    assert check_memory(small, root).outcome is Outcome.OK


def test_too_few_descriptors_for_a_worker_are_a_failure() -> None:
    assert check_descriptors(CONFIG, 1024).outcome is Outcome.OK
    with pytest.raises(FailedError) as caught:
        check_descriptors(ClientConfig("k", flush_num_workers=4096, flush_num_processes=2), 1024)
    assert "ulimit -n" in caught.value.finding.remedy


def spool_of(folder: Path) -> ClientConfig:
    return ClientConfig("k", spool_dir=folder, flush_buffer_size=4)


def test_the_check_of_a_spool_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "spool"

    assert check_spool(spool_of(folder)).outcome is Outcome.OK
    assert list(folder.iterdir()) == []
    assert check_spool(CONFIG).outcome is Outcome.SKIPPED
    assert check_shared_memory(CONFIG).outcome is Outcome.OK

    (folder / "dead").mkdir()
    (folder / "dead" / "a.jsonl").write_text("{}\n")
    finding = check_spool(spool_of(folder))
    assert finding == Finding(
        "spool",
        Outcome.WARNING,
        f"{folder}: writable; 1 request has failed permanently",
        f"see dataart-mp spool ls {folder}",
    )


def test_an_unusable_spool_is_reported(tmp_path: Path) -> None:
    config = spool_of(tmp_path / "spool")
    (tmp_path / "spool").touch()  # after the configuration has checked it
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)

    for unusable, problem in (
        (config, os.strerror(errno.EEXIST)),
        (spool_of(shared), f"chmod 700 {shared}"),
    ):
        with pytest.raises(FailedError) as caught:
            check_spool(unusable)
        assert problem in caught.value.finding.detail
