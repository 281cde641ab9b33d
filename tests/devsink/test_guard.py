"""No page of another site can use the sink, whatever host name it resolves to it."""

from __future__ import annotations

import pytest

from dataart_mp.devsink import SinkProcess, SinkSettings
from dataart_mp.devsink.http.guard import Guard
from dataart_mp.devsink.http.rejection import RejectionError
from tests.devsink.poster import ACTIONS, Poster, action, actions


def refusal(guard: Guard, method: str, **headers: str) -> RejectionError | None:
    try:
        guard.check(method, {name.encode(): text.encode() for name, text in headers.items()})
    except RejectionError as error:
        return error
    return None


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:8765", "127.0.0.1:1", "127.9.9.9", "[::1]:8765", "sink.localhost:80"],
)
def test_a_host_name_of_loopback_is_accepted(host: str) -> None:
    assert refusal(Guard(SinkSettings()), "GET", host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8765",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "0.0.0.0:8765",
        "192.168.1.7:8765",
        "[::1",
        "[fe80::1]:80",
        "2130706433",
    ],
)
def test_any_other_host_is_a_421(host: str) -> None:
    error = refusal(Guard(SinkSettings()), "GET", host=host)
    assert error is not None
    assert (error.status, error.field) == (421, "header Host")
    assert "--allow-host" in str(error)


def test_names_can_be_allowed_and_remote_access_allows_addresses_only() -> None:
    assert refusal(Guard(SinkSettings(allow_hosts=("Sink",))), "GET", host="sink:8765") is None
    remote = Guard(SinkSettings(allow_remote=True, host="0.0.0.0"))
    assert refusal(remote, "GET", host="192.168.1.7:8765") is None
    assert refusal(remote, "GET", host="evil.example") is not None


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://localhost:3000", "http://localhost", "localhost:8765"],
)
def test_a_page_of_another_site_cannot_change_anything(origin: str) -> None:
    guard = Guard(SinkSettings())
    error = refusal(guard, "POST", host="localhost:8765", origin=origin)
    assert error is not None
    assert (error.status, error.field) == (403, "header Origin")


def test_the_sinks_page_and_clients_without_an_origin_may_change_things() -> None:
    guard = Guard(SinkSettings())
    assert refusal(guard, "POST", host="localhost:8765") is None
    assert refusal(guard, "POST", host="localhost:8765", origin="http://localhost:8765") is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/_sink/reset"),
        ("PUT", "/_sink/faults"),
        ("POST", "/_sink/faults"),
        ("DELETE", "/_sink/faults"),
        ("POST", ACTIONS),
    ],
)
def test_every_change_from_another_origin_is_rejected(
    sink: SinkProcess, poster: Poster, method: str, path: str
) -> None:
    poster.post(actions(action()))
    sink.set_faults({"kind": "latency", "seconds": 0})
    foreign: dict[str, str | None] = {"Origin": "http://evil.example"}
    response = poster.post(actions(action()), path, method=method, headers=foreign)
    assert (response.status, response.json()["field"]) == (403, "header Origin")
    assert sink.stats()["actions"] == len(sink.faults()) == 1


@pytest.mark.parametrize("path", ["/", "/_sink/stats", "/_sink/live", "/_sink/page/main.js"])
def test_nothing_can_be_read_with_a_foreign_host(poster: Poster, path: str) -> None:
    response = poster.post(b"", path, method="GET", headers={"Host": "evil.example"})
    assert (response.status, response.json()["field"]) == (421, "header Host")


def test_an_event_sent_to_a_foreign_host_is_rejected_and_logged(
    sink: SinkProcess, poster: Poster
) -> None:
    response = poster.post(actions(action()), headers={"Host": "evil.example"})
    assert response.status == 421
    assert sink.rejected()[0]["field"] == "header Host"
    assert sink.stats()["actions"] == 0


def test_the_page_loads_nothing_from_other_sites(poster: Poster) -> None:
    for path in ("/", "/_sink/page/main.js", "/_sink/events"):
        headers = poster.post(b"", path, method="GET").headers
        policy = headers["Content-Security-Policy"].split("; ")
        assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy)
        assert {"require-trusted-types-for 'script'", "trusted-types 'none'"} <= set(policy)
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Access-Control-Allow-Origin" not in headers


def test_only_files_of_the_page_are_served(poster: Poster) -> None:
    for path in ("../process.py", "..%2fprocess.py", "%2e%2e/process.py", "/etc/passwd"):
        response = poster.raw(
            b"GET /_sink/page/%b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            % path.encode()
        )
        assert b" 404 " in response.split(b"\r\n")[0]


def test_rules_of_more_than_a_mebibyte_are_a_413(sink: SinkProcess, poster: Poster) -> None:
    response = poster.post(b" " * (1024 * 1024 + 1), "/_sink/faults", method="PUT")
    assert (response.status, response.json()["field"]) == (413, "body")
    assert sink.faults() == []
