"""What the doctor concludes from the responses of servers that are not the platform."""

import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
import trustme

from dataart_mp import ClientConfig
from dataart_mp.cli.doctor.delivery import remedy_for
from dataart_mp.cli.doctor.finding import FailedError, Outcome
from dataart_mp.cli.doctor.route import check_route
from dataart_mp.devsink import SinkProcess
from dataart_mp.failure import Failure
from tests.cli.terminal import run
from tests.support import environment


class _Server(http.server.BaseHTTPRequestHandler):
    """Answers every request alike."""

    status: ClassVar = 404
    headers_sent: ClassVar[dict[str, str]] = {}
    body: ClassVar = b""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.status)
        for name, value in {**self.headers_sent, "Content-Length": str(len(self.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "POST":
            self.wfile.write(self.body)

    def do_HEAD(self) -> None:
        self.do_POST()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve(tls: ssl.SSLContext | None = None, **answer: Any) -> Iterator[int]:
    """Serve on 127.0.0.1; the value is the port."""
    handler = type("Handler", (_Server,), answer)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            # The handshake is done when the connection is used, as in servers of production.
            server.socket = tls.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def doctor(url: str) -> dict[str, dict[str, str]]:
    done = run("doctor", "--json", env=environment(DATAART_API_KEY="k", DATAART_BASE_URL=url))
    assert done.returncode == 1, done.stdout
    return {finding["check"]: finding for finding in json.loads(done.stdout)["findings"]}


def test_a_server_that_is_not_the_platform_is_not_called_a_temporary_problem() -> None:
    with serve(status=501, body=b"<h1>Unsupported method</h1>") as port:
        finding = doctor(f"http://127.0.0.1:{port}")["test event"]

    assert finding["outcome"] == "failure"
    assert "this is not the platform" in finding["remedy"]
    assert "try later" not in finding["remedy"]


def test_a_web_page_is_not_taken_for_the_platform_whatever_its_status() -> None:
    """A client counts such an event as delivered."""
    kind = {"Content-Type": "text/html; charset=utf-8"}
    with serve(status=200, headers_sent=kind, body=b"<!doctype html>") as port:
        url = f"http://127.0.0.1:{port}/api"
        findings = doctor(url)

    assert findings["HTTP"]["outcome"] == "failure"
    assert findings["HTTP"]["detail"] == (f"status 200: a web page is at {url}/events/send-actions")
    assert "this is not the platform, or a login page" in findings["HTTP"]["remedy"]
    assert findings["test event"]["outcome"] == "skipped"
    assert "API key" not in findings


def test_a_platform_with_a_web_page_at_its_root_is_the_platform() -> None:
    with SinkProcess() as sink:
        findings = list(check_route(ClientConfig("k", base_url=sink.url), timeout=5.0))
        assert sink.stats()["requests"] == 0

    assert [finding.outcome for finding in findings if finding.check == "HTTP"] == [Outcome.OK]


def test_a_platform_that_is_down_is_worth_a_later_try() -> None:
    with SinkProcess() as sink:
        sink.set_faults({"kind": "status", "status": 503})
        finding = doctor(sink.url)["test event"]

    assert "try later" in finding["remedy"]


def test_a_redirect_to_https_is_recognized() -> None:
    place = {"Location": "https://127.0.0.1:8443/v1/"}
    with serve(status=301, headers_sent=place) as port, pytest.raises(FailedError) as caught:
        list(check_route(ClientConfig("k", base_url=f"http://127.0.0.1:{port}/v1"), timeout=5.0))

    finding = caught.value.finding
    assert finding.detail == "status 301: the server redirects to https://127.0.0.1:8443/v1/"
    assert finding.remedy == "use https:// in base_url: https://127.0.0.1:8443/v1"


def test_a_port_that_expects_tls_is_recognized(authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with serve(context) as port, pytest.raises(FailedError) as caught:
        list(check_route(ClientConfig("k", base_url=f"http://127.0.0.1:{port}"), timeout=5.0))

    assert "the port expects TLS" in caught.value.finding.detail
    assert caught.value.finding.remedy == f"use https:// in base_url: https://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("status", "answer", "url", "remedy"),
    [
        (301, "", "http://a.example", "try https://; the client follows no redirect"),
        (302, "<html>", "https://a.example", "check base_url; the client follows no redirect"),
        (400, "Client sent an HTTP request to an HTTPS server.", "http://a.example:1", "use https"),
        (426, "", "http://a.example", "use https:// in base_url: https://a.example"),
        (400, '{"error": "key"}', "https://a.example", "the platform refuses the test event"),
        (400, "<html>", "https://a.example", "this is not the platform"),
        (403, "<!doctype html>", "https://a.example", "this is not the platform"),
        (404, "", "https://a.example", "this is not the platform"),
        (405, "", "https://a.example", "this is not the platform"),
        (429, "", "https://a.example", "try later"),
        (500, "", "https://a.example", "try later"),
        (502, "<html>", "https://a.example", "try later"),
    ],
)
def test_each_status_has_its_remedy(status: int, answer: str, url: str, remedy: str) -> None:
    failure = Failure(reason="rejected", kind="action", records=(), status=status, answer=answer)

    assert remedy in remedy_for(failure, url)
