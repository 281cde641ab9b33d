"""TLS: which servers are trusted, why others are refused, and which certificate is shown."""

import datetime
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from dataart_mp import ConfigError
from dataart_mp.delivery.verdict import Retry, judge
from dataart_mp.transport.response import Response
from tests.transport.posting import post, server_context
from tests.transport.servers import KEY, Peer, RawServer, SenderTo, Serve

PASSWORD = "key-password-42"


@pytest.fixture
def secure(serve: Serve, authority: trustme.CA) -> RawServer:
    return serve(
        lambda peer: peer.respond_to_all(), tls=server_context(authority.issue_cert("127.0.0.1"))
    )


def refusal(response: Response) -> str:
    """Return why no response came; the batch is retried, because certificates are renewed."""
    assert response.status is None
    assert judge(response, datetime.datetime.now(datetime.UTC), is_divisible=False) == Retry()
    assert KEY not in response.text
    return response.text


def test_a_private_authority_is_trusted_if_ca_file_names_it(
    secure: RawServer, sender_to: SenderTo, ca_file: Path
) -> None:
    sender = sender_to(secure.url, ca_file=ca_file)
    assert [post(sender).status for _ in range(3)] == [200] * 3
    assert secure.connections == 1


def test_a_private_authority_is_refused_without_ca_file(
    secure: RawServer, sender_to: SenderTo
) -> None:
    assert "certificate verify failed" in refusal(post(sender_to(secure.url)))
    assert not secure.requests


def test_a_certificate_of_another_host_is_refused_and_the_message_names_the_host(
    serve: Serve, authority: trustme.CA, sender_to: SenderTo, ca_file: Path
) -> None:
    context = server_context(authority.issue_cert("platform.example"))
    server = serve(lambda peer: peer.respond_to_all(), tls=context)
    text = refusal(post(sender_to(server.url, ca_file=ca_file)))
    assert "IP address mismatch, certificate is not valid for '127.0.0.1'" in text
    by_name = sender_to(server.url.replace("127.0.0.1", "localhost"), ca_file=ca_file)
    assert "certificate is not valid for 'localhost'" in refusal(post(by_name))
    assert not server.requests


def test_an_expired_certificate_is_refused_and_the_message_says_so(
    serve: Serve, authority: trustme.CA, sender_to: SenderTo, ca_file: Path
) -> None:
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    certificate = authority.issue_cert("127.0.0.1", not_after=yesterday)
    server = serve(lambda peer: peer.respond_to_all(), tls=server_context(certificate))
    text = refusal(post(sender_to(server.url, ca_file=ca_file)))
    assert "certificate has expired" in text
    assert not server.requests


def test_a_server_without_tls_is_refused(serve: Serve, sender_to: SenderTo, ca_file: Path) -> None:
    def handle(peer: Peer) -> None:
        peer.socket.recv(65536)
        peer.respond(400, b"this is a plain HTTP port")

    url = serve(handle).url.replace("http:", "https:")
    assert refusal(post(sender_to(url, ca_file=ca_file))).startswith("SSLError")


def test_a_handshake_that_never_ends_takes_the_connect_timeout(
    serve: Serve, sender_to: SenderTo, ca_file: Path
) -> None:
    def handle(peer: Peer) -> None:
        while peer.socket.recv(65536):
            pass

    url = serve(handle).url.replace("http:", "https:")
    sender = sender_to(url, ca_file=ca_file, connect_timeout=0.3)
    started = time.monotonic()
    assert "timed out" in refusal(post(sender))
    assert time.monotonic() - started < 3


# The client's certificate


@pytest.fixture
def demanding(serve: Serve, authority: trustme.CA) -> RawServer:
    """A server that requires a client certificate, and responds with its name."""
    context = server_context(authority.issue_cert("127.0.0.1"))
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)

    def handle(peer: Peer) -> None:
        assert isinstance(peer.socket, ssl.SSLSocket)
        shown: Any = peer.socket.getpeercert()
        peer.respond_to_all(200, str(shown["subjectAltName"]).encode())

    return serve(handle, tls=context)


@pytest.fixture
def client_certificate(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("shop.example")


def test_a_client_certificate_is_shown(
    demanding: RawServer,
    client_certificate: trustme.LeafCert,
    sender_to: SenderTo,
    ca_file: Path,
    tmp_path: Path,
) -> None:
    client_certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    client_certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    client_certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    both: dict[str, Any] = {"client_cert": tmp_path / "both.pem"}
    apart: dict[str, Any] = {
        "client_cert": tmp_path / "cert.pem",
        "client_key": tmp_path / "key.pem",
    }
    for files in (both, apart):
        response = post(sender_to(demanding.url, ca_file=ca_file, **files))
        assert (response.status, "shop.example" in response.text) == (200, True)


def test_a_server_that_requires_a_client_certificate_refuses_a_client_without_one(
    demanding: RawServer, sender_to: SenderTo, ca_file: Path
) -> None:
    refusal(post(sender_to(demanding.url, ca_file=ca_file)))
    assert not demanding.requests


@pytest.fixture
def encrypted(client_certificate: trustme.LeafCert, tmp_path: Path) -> dict[str, Path]:
    """A certificate whose key is encrypted."""
    key = serialization.load_pem_private_key(client_certificate.private_key_pem.bytes(), None)
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(PASSWORD.encode()),
    )
    (tmp_path / "secret.pem").write_bytes(text)
    client_certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    return {"client_cert": tmp_path / "cert.pem", "client_key": tmp_path / "secret.pem"}


def test_an_encrypted_key_is_opened_with_its_password(
    demanding: RawServer, encrypted: dict[str, Path], sender_to: SenderTo, ca_file: Path
) -> None:
    files: dict[str, Any] = {**encrypted, "client_key_password": PASSWORD}
    assert post(sender_to(demanding.url, ca_file=ca_file, **files)).status == 200


@pytest.mark.parametrize("password", [None, "", "wrong"])
def test_an_encrypted_key_with_a_wrong_password_is_refused_at_the_start_without_a_prompt(
    encrypted: dict[str, Path], sender_to: SenderTo, ca_file: Path, password: str | None
) -> None:
    files: dict[str, Any] = {**encrypted, "client_key_password": password}
    with pytest.raises(ConfigError, match=r"cert\.pem.*client_key_password") as caught:
        sender_to("https://127.0.0.1:9", ca_file=ca_file, **files)
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("field", ["ca_file", "client_cert"])
def test_a_file_without_a_certificate_is_refused_at_the_start_and_the_message_names_it(
    sender_to: SenderTo, tmp_path: Path, field: str
) -> None:
    path = tmp_path / "nonsense.pem"
    path.write_text("-----BEGIN NONSENSE-----\n")
    files: dict[str, Any] = {field: path}
    with pytest.raises(ConfigError, match=rf"{field}=.*nonsense\.pem"):
        sender_to("https://127.0.0.1:9", **files)


def test_plain_http_ignores_the_certificates(
    serve: Serve, sender_to: SenderTo, tmp_path: Path
) -> None:
    path = tmp_path / "nonsense.pem"
    path.write_text("nonsense")
    server = serve(lambda peer: peer.respond_to_all())
    assert post(sender_to(server.url, ca_file=path)).status == 200


def test_the_scheme_of_the_url_ignores_case(
    secure: RawServer, sender_to: SenderTo, ca_file: Path
) -> None:
    assert post(sender_to(secure.url.replace("https", "HTTPS"), ca_file=ca_file)).status == 200
