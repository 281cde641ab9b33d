"""The checks of the network route, and of the clock."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import trustme

from dataart_mp import ClientConfig
from dataart_mp.cli.doctor.finding import FailedError, Outcome
from dataart_mp.cli.doctor.route import check_route, judge_clock
from dataart_mp.config import HTTPOptions
from dataart_mp.devsink import SinkProcess

NOW = datetime(2021, 5, 4, 10, 11, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("config", "check", "remedy"),
    [
        (ClientConfig("k", base_url="http://no-such-host.invalid"), "name resolution", "DNS"),
        (
            ClientConfig("k", base_url="http://127.0.0.1:9"),
            "connection",
            "that the platform (or the proxy) is running",
        ),
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
