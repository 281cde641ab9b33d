"""`dataart-mp doctor`: each thing that can be wrong is found, and told with its remedy."""

import http.server
import json
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
from dataart_mp.cli.doctor.finding import FailedError, Finding, Outcome
from dataart_mp.cli.doctor.machine import (
    check_descriptors,
    check_memory,
    check_shared_memory,
    check_spool,
    memory_left,
)
from dataart_mp.cli.doctor.route import judge_clock, walk
from dataart_mp.config import HTTPOptions
from dataart_mp.devsink import SinkProcess
from dataart_mp.errors import BufferFullError
from tests.cli.terminal import run, run_limited
from tests.support import environment

NOW = datetime(2021, 5, 4, 10, 11, 12, tzinfo=UTC)
CONFIG = ClientConfig("k", base_url="http://127.0.0.1:9", flush_num_processes=2)


def test_where_all_is_well_it_says_so_and_one_event_arrives() -> None:
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
    assert "copy it again from the platform's project" in findings["API key"]["remedy"]
    assert findings["connection"]["outcome"] == "ok"


@pytest.mark.parametrize(
    ("limit", "remedy"), [("-f 1", "ulimit -f unlimited"), ("-n 12", "ulimit -n 1024")]
)
def test_a_limit_that_lets_no_client_start_is_told_and_all_else_is_checked(
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


def test_what_a_step_did_not_foresee_is_its_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Iterator[Finding]:
        raise BufferFullError("no worker can start")

    monkeypatch.setattr("dataart_mp.cli.doctor.checkup.send_one", fail)
    findings = {finding.check: finding for finding in checkup(CONFIG, 1.0, event=True)}

    assert findings["test event"].outcome is Outcome.FAILURE
    assert findings["test event"].detail == "no worker can start"
    assert findings["test event"].remedy
    assert {"memory", "shared memory", "descriptors"} <= findings.keys()


def test_without_a_key_the_first_finding_says_where_to_put_it() -> None:
    done = run("doctor", env=environment())

    assert done.returncode == 1
    assert "set DATAART_API_KEY, or give --api-key-file FILE" in done.stdout


def test_a_proxy_of_the_environment_that_cannot_be_used_is_told_without_its_password() -> None:
    proxied = environment(
        DATAART_API_KEY="k", DATAART_BASE_URL="https://a.invalid", HTTPS_PROXY="socks5://u:p@h:1"
    )
    done = run("doctor", env=proxied)

    assert done.returncode == 1
    assert "✗ configuration" in done.stdout
    assert "HTTPS_PROXY: proxy='socks5://***@h:1'" in done.stdout


@pytest.mark.parametrize(
    ("config", "check", "said"),
    [
        (ClientConfig("k", base_url="http://no-such-host.invalid"), "name resolution", "DNS"),
        (CONFIG, "connection", "does the platform (or the proxy) run?"),
        (
            ClientConfig(
                "k", base_url="http://a.invalid", http=HTTPOptions(proxy="http://u:p@127.0.0.1:9")
            ),
            "connection",
            "does the platform (or the proxy) run?",
        ),
    ],
)
def test_where_the_way_ends_is_told(config: ClientConfig, check: str, said: str) -> None:
    with pytest.raises(FailedError) as caught:
        list(walk(config, timeout=5.0))

    assert caught.value.finding.check == check
    assert said in caught.value.finding.remedy
    assert "u:p" not in str(caught.value.finding)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_port(authority: trustme.CA) -> Iterator[int]:
    """A server that speaks TLS, for 127.0.0.1, for one more day."""

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


def test_tls_is_looked_into(authority: trustme.CA, tls_port: int, tmp_path: Path) -> None:
    url = f"https://127.0.0.1:{tls_port}"
    with pytest.raises(FailedError) as caught:
        list(walk(ClientConfig("k", base_url=url), timeout=5.0))
    assert caught.value.finding.check == "TLS"
    assert "DATAART_HTTP_CA_FILE" in caught.value.finding.remedy

    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    trusting = ClientConfig("k", base_url=url, http=HTTPOptions(ca_file=ca_file))
    found = {finding.check: finding for finding in walk(trusting, timeout=5.0)}

    assert found["TLS"].outcome is Outcome.WARNING
    assert found["TLS"].detail.endswith("the certificate is valid for 1 more days")
    assert found["clock"].outcome is Outcome.OK


def test_a_plain_server_where_tls_is_expected_is_told(sink: SinkProcess) -> None:
    with pytest.raises(FailedError) as caught:
        list(walk(ClientConfig("k", base_url=sink.url.replace("http", "https", 1)), timeout=5.0))

    assert caught.value.finding.check == "TLS"
    assert "does TLS run on this port?" in caught.value.finding.remedy


@pytest.mark.parametrize(
    ("seconds", "outcome"),
    [(0, "ok"), (-4, "ok"), (8, "warning"), (-8, "warning"), (90, "failure"), (-90, "failure")],
)
def test_the_clock_is_compared_with_the_platforms(seconds: int, outcome: str) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)

    try:
        finding = judge_clock(date, NOW)
    except FailedError as failed:
        finding = failed.finding

    assert finding.outcome == outcome
    if outcome != "ok":
        assert ("behind" if seconds > 0 else "ahead of") in finding.detail


@pytest.mark.parametrize("date", [None, "yesterday"])
def test_a_platform_that_does_not_tell_its_time_is_no_failure(date: str | None) -> None:
    assert judge_clock(date, NOW).outcome is Outcome.SKIPPED


def groups(root: Path, lines: str, **files: str) -> Path:
    """A /proc and a /sys of control groups."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(lines)
    for name, text in files.items():
        file = root / "sys/fs/cgroup" / name.replace("__", "/").replace("memory_", "memory.")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_the_tightest_limit_of_all_control_groups_counts(tmp_path: Path) -> None:
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


def test_a_buffer_that_does_not_fit_into_the_container_is_a_warning(tmp_path: Path) -> None:
    limit, used = str(512 << 20), str(400 << 20)
    root = groups(tmp_path, "0::/\n", memory_max=limit, memory_current=used)

    finding = check_memory(CONFIG, root)

    assert finding.outcome is Outcome.WARNING
    assert finding.detail.startswith("112 MiB left of 512 MiB")
    assert "lower flush_buffer_size" in finding.remedy
    small = ClientConfig("k", flush_buffer_size=100, flush_num_processes=2)
    assert check_memory(small, root).outcome is Outcome.OK


def test_descriptors_must_suffice_for_a_worker() -> None:
    assert check_descriptors(CONFIG, 1024).outcome is Outcome.OK
    with pytest.raises(FailedError) as caught:
        check_descriptors(ClientConfig("k", flush_num_workers=4096, flush_num_processes=2), 1024)
    assert "ulimit -n" in caught.value.finding.remedy


def spool_of(folder: Path) -> ClientConfig:
    return ClientConfig("k", spool_dir=folder, flush_buffer_size=4)


def test_a_spool_is_tried_out_and_left_as_it_was(tmp_path: Path) -> None:
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
        f"{folder}: writable; 1 requests were given up on",
        f"see dataart-mp spool ls {folder}",
    )


def test_a_spool_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    config = spool_of(tmp_path / "spool")
    (tmp_path / "spool").touch()  # after it was looked at
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)

    for one, said in (
        (config, "cannot be made"),
        (spool_of(shared), "may be written to by others"),
    ):
        with pytest.raises(FailedError) as caught:
            check_spool(one)
        assert said in caught.value.finding.detail
