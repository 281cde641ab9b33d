"""`dataart-mp doctor`: all checks run, and each problem is reported with a remedy."""

import json
from collections.abc import Iterator

import pytest

from dataart_mp import ClientConfig
from dataart_mp.cli.doctor.checkup import checkup
from dataart_mp.cli.doctor.container import check_container
from dataart_mp.cli.doctor.delivery import EVENT_KEY
from dataart_mp.cli.doctor.finding import Finding, Outcome
from dataart_mp.cli.doctor.memory import check_memory
from dataart_mp.devsink import SinkProcess
from dataart_mp.errors import BufferFullError
from tests.cli.terminal import run, run_limited
from tests.support import environment

CONFIG = ClientConfig("k", base_url="http://127.0.0.1:9", flush_num_processes=2)


def test_a_working_setup_passes_all_checks_and_one_event_arrives() -> None:
    with SinkProcess(api_key="good-key") as sink:
        good = environment(
            DATAART_API_KEY="good-key", DATAART_BASE_URL=sink.url, DATAART_SAMPLE_RATE="0"
        )
        done = run("doctor", env=good)
        events = sink.events()
        refused = run("doctor", "--json", env={**good, "DATAART_API_KEY": "bad-key"})

    assert done.returncode == 0, done.stdout
    # This machine may be a container, and one with little memory.
    of_machine = [check(CONFIG) for check in (check_container, check_memory)]
    count = sum(finding.outcome is Outcome.WARNING for finding in of_machine)
    warnings = f"{count} warning{'s' * (count != 1)}"
    assert done.stdout.endswith(f"\n0 failures, {warnings}.\n")
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
