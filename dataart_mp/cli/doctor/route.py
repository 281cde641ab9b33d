"""Checks the network route to the platform, and the platform's clock.

    name ─► addresses ─► (proxy) ─► connection ─► TLS ─► HEAD ─► http or https? ─► page? ─► Date

These checks send neither the API key nor an event; only a real client does.
"""

import http.client
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from dataart_mp.cli.doctor.finding import FailedError, Finding, ok, skipped, warning
from dataart_mp.config import ClientConfig
from dataart_mp.config.url import masked_url
from dataart_mp.errors import ConfigError
from dataart_mp.transport.envelope import path_of
from dataart_mp.transport.proxy import credentials, proxy_for
from dataart_mp.transport.tls import client_context

RESOLUTION: Final = "name resolution"
CONNECTION: Final = "connection"
TLS: Final = "TLS"
HTTP: Final = "HTTP"
CLOCK: Final = "clock"

# In seconds. The Date header has whole seconds, and is as old as the network delay.
_CLOCK_WARNING: Final = 5.0
_CLOCK_FAILURE: Final = 60.0
_CERTIFICATE_WARNING_DAYS: Final = 14
_PORTS: Final = {"http": 80, "https": 443}
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PAGES: Final = frozenset({"text/html", "application/xhtml+xml"})
# What servers respond if a port for TLS gets a request without it.
_NO_TLS: Final = 400


def check_route(config: ClientConfig, timeout: float) -> Iterator[Finding]:
    """Check the route step by step.

    Args:
        config: The configuration of the client.
        timeout: Seconds for each step.

    Raises:
        FailedError: A step failed, so the next ones cannot run.
    """
    proxy = proxy_for(config.base_url, config.http)
    target = urlsplit(config.base_url)
    first = target if proxy is None else urlsplit(proxy)
    yield _resolve(first, proxy)
    if proxy is not None and first.scheme == "https":
        reason = f"not checked: the connection to the proxy {masked_url(proxy)} uses TLS"
        yield from (skipped(check, reason) for check in (CONNECTION, TLS, HTTP, CLOCK))
        return
    connection = _connection(target, proxy, timeout)
    try:
        yield _connect(connection, first, proxy)
        yield _start_tls(connection, config, target)
        answer = _head(connection, config, proxy)
        _refuse_plain_http(answer, target, proxy)
        _refuse_web_page(answer, config, proxy, timeout)
        yield ok(HTTP, "the server responds")
        yield judge_clock(answer.getheader("Date"), datetime.now(UTC))
    finally:
        connection.close()


def judge_clock(date: str | None, now: datetime) -> Finding:
    """Compare the platform's clock with this machine's.

    Args:
        date: The `Date` header of a response; None: there was none.
        now: The time of this machine.

    Raises:
        FailedError: They differ by more than a minute.
    """
    try:
        theirs = parsedate_to_datetime(date or "")
        theirs = theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)
    except ValueError:
        return skipped(CLOCK, "the platform's response has no Date header")
    # Half a second is added because the header is truncated to whole seconds, not rounded.
    behind = (theirs - now).total_seconds() + 0.5
    side = "behind" if behind > 0 else "ahead of"
    detail = f"{abs(behind):,.0f} s {side} the platform's"
    remedy = "synchronize this machine's clock with NTP: it is the default time of events"
    if abs(behind) > _CLOCK_FAILURE:
        raise FailedError(CLOCK, detail, remedy)
    if abs(behind) > _CLOCK_WARNING:
        return warning(CLOCK, detail, remedy)
    return ok(CLOCK, f"within {_CLOCK_WARNING:.0f} s of the platform's")


def _port(url: SplitResult) -> int:
    return url.port or _PORTS[url.scheme]


def _resolve(url: SplitResult, proxy: str | None) -> Finding:
    host = url.hostname or ""
    try:
        found = socket.getaddrinfo(host, _port(url), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        name = "the proxy's name" if proxy else "base_url"
        remedy = f"check {name}, and this machine's DNS (/etc/resolv.conf)"
        reason = error.strerror if isinstance(error, OSError) else error
        raise FailedError(RESOLUTION, f"{host}: {reason}", remedy) from None
    addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
    return ok(RESOLUTION, f"{host} has the address {', '.join(addresses)}")


def _connection(
    target: SplitResult, proxy: str | None, timeout: float
) -> http.client.HTTPConnection:
    host = target.hostname or ""
    if proxy is None:
        return http.client.HTTPConnection(host, _port(target), timeout=timeout)
    parts = urlsplit(proxy)
    connection = http.client.HTTPConnection(parts.hostname or "", _port(parts), timeout=timeout)
    if target.scheme == "https":
        connection.set_tunnel(host, _port(target), headers=_proxy_headers(proxy))
    return connection


def _connect(
    connection: http.client.HTTPConnection, first: SplitResult, proxy: str | None
) -> Finding:
    place = f"{first.hostname}:{_port(first)}"
    through = f" through the proxy {masked_url(proxy)}" if proxy else ""
    try:
        connection.connect()
    except TimeoutError:
        remedy = "check the firewall; if a proxy is needed, set DATAART_HTTP_PROXY"
        raise FailedError(
            CONNECTION, f"{place}: no answer within {connection.timeout:g} s", remedy
        ) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error)
        remedy = "check the port, and that the platform (or the proxy) is running"
        raise FailedError(CONNECTION, f"{place}: {reason}{through}", remedy) from None
    return ok(CONNECTION, f"to {place}{through}")


def _start_tls(
    connection: http.client.HTTPConnection, config: ClientConfig, target: SplitResult
) -> Finding:
    if target.scheme == "http":
        if config.travels_in_the_clear:
            detail = "none: the API key and all events are sent unencrypted"
            return warning(TLS, detail, "use https:// in base_url")
        return skipped(TLS, "none: the platform is on this machine")
    try:
        context = client_context(config.http)
        connection.sock = context.wrap_socket(connection.sock, server_hostname=target.hostname)
    except ConfigError as error:
        raise FailedError(TLS, str(error), "check DATAART_HTTP_CA_FILE and …_CLIENT_CERT") from None
    except ssl.SSLCertVerificationError as error:
        remedy = (
            "for a private certificate authority set DATAART_HTTP_CA_FILE to its file; "
            "otherwise check the name in base_url, and this machine's clock"
        )
        raise FailedError(TLS, f"certificate: {error.verify_message}", remedy) from None
    except OSError as error:  # ssl.SSLError is one
        remedy = "check that this port uses TLS; if it does not, use http:// in base_url"
        raise FailedError(TLS, f"{error.strerror or error}", remedy) from None
    return _check_certificate(connection.sock.getpeercert() or {}, connection.sock.version())


def _check_certificate(certificate: dict[str, Any], version: str | None) -> Finding:
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    days = (until - datetime.now(UTC)).days
    detail = f"{version}, the certificate is valid for {days:,} more days"
    if days < _CERTIFICATE_WARNING_DAYS:
        return warning(TLS, detail, "ask the platform's operator to renew it")
    return ok(TLS, detail)


def _head(
    connection: http.client.HTTPConnection,
    config: ClientConfig,
    proxy: str | None,
    place: str = "/",
) -> http.client.HTTPResponse:
    """Send a HEAD request for a path below base_url, and return the response."""
    target = urlsplit(config.base_url)
    is_relayed = proxy is not None and target.scheme == "http"
    path = f"{config.base_url if is_relayed else target.path}{place}"
    try:
        # As in any request, `Host` contains the port only if base_url does.
        headers = {"Host": target.netloc, **(_proxy_headers(proxy) if proxy else {})}
        connection.request("HEAD", path, headers=headers if is_relayed else {"Host": target.netloc})
        answer = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        reason = f"no HTTP response: {type(error).__name__}: {error}"
        _refuse_tls_port(target, proxy, connection.timeout, reason)
        remedy = "this is not the platform: check the host and the port in base_url"
        raise FailedError(HTTP, reason, remedy) from None
    answer.close()  # only its head is needed
    return answer


def _refuse_plain_http(
    answer: http.client.HTTPResponse, target: SplitResult, proxy: str | None
) -> None:
    """Raise a FailedError if the response means that base_url must begin with https."""
    place = answer.getheader("Location", "")
    if target.scheme != "http":
        return
    if answer.status in _REDIRECTS and urlsplit(place).scheme == "https":
        detail = f"status {answer.status}: the server redirects to {masked_url(place)}"
        raise FailedError(HTTP, detail, _use_https(target, urlsplit(place)))
    if answer.status == _NO_TLS:
        _refuse_tls_port(target, proxy, 5.0, f"status {answer.status}")


def _refuse_web_page(
    answer: http.client.HTTPResponse, config: ClientConfig, proxy: str | None, timeout: float
) -> None:
    """Raise a FailedError if there is a web page where the platform takes events, too.

    A client cannot find that out: to it, a page with status 200 is a delivered request.
    """
    if not _is_web_page(answer):
        return
    target = urlsplit(config.base_url)
    connection = _connection(target, proxy, timeout)
    try:
        _connect(connection, target if proxy is None else urlsplit(proxy), proxy)
        _start_tls(connection, config, target)
        answer = _head(connection, config, proxy, path_of(is_identity=False))
    finally:
        connection.close()
    if _is_web_page(answer):
        place = f"{config.base_url}{path_of(is_identity=False)}"
        detail = f"status {answer.status}: a web page is at {place}"
        remedy = "this is not the platform, or a login page is in between: check base_url"
        raise FailedError(HTTP, detail, remedy)


def _is_web_page(answer: http.client.HTTPResponse) -> bool:
    kind = answer.getheader("Content-Type", "").partition(";")[0].strip().lower()
    return 200 <= answer.status < 300 and kind in _PAGES


def _refuse_tls_port(
    target: SplitResult, proxy: str | None, timeout: float | None, detail: str
) -> None:
    """Raise a FailedError if a port that was used without TLS expects it."""
    if target.scheme != "http" or proxy is not None:
        return
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent
    host = target.hostname or ""
    try:
        with (
            socket.create_connection((host, _port(target)), timeout) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            pass
    except OSError:
        return
    raise FailedError(HTTP, f"{detail}; the port expects TLS", _use_https(target, target))


def _use_https(given: SplitResult, place: SplitResult) -> str:
    """Return the remedy: base_url with https, at the port that the server uses for it."""
    host = f"[{place.hostname}]" if ":" in (place.hostname or "") else place.hostname
    port = f":{place.port}" if place.port not in (None, _PORTS["https"]) else ""
    return f"use https:// in base_url: https://{host}{port}{given.path}"


def _proxy_headers(proxy: str) -> dict[str, str]:
    auth = credentials(proxy)
    if auth is None:
        return {}
    return {"Proxy-Authorization": f"Basic {b64encode(auth.encode('latin-1')).decode()}"}
