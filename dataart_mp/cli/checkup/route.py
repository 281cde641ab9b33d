"""The way to the platform: its name, a connection, TLS, and what time it is there.

    name ─► addresses ─► (proxy) ─► connection ─► TLS ─► HEAD ─► Date

Nothing secret goes this way, and no event: those take that of a real client.
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

from dataart_mp.cli.checkup.finding import FailedError, Finding, ok, skipped, warning
from dataart_mp.config import ClientConfig
from dataart_mp.config.url import masked_url
from dataart_mp.errors import ConfigError
from dataart_mp.transport.proxy import credentials, proxy_for
from dataart_mp.transport.tls import client_context

RESOLUTION: Final = "name resolution"
CONNECTION: Final = "connection"
TLS: Final = "TLS"
CLOCK: Final = "clock"

# The Date header has whole seconds, and the way takes its time.
_WORTH_A_WARNING: Final = 5.0
_WORTH_A_FAILURE: Final = 60.0
_DAYS_LEFT: Final = 14
_PORTS: Final = {"http": 80, "https": 443}


def walk(config: ClientConfig, timeout: float) -> Iterator[Finding]:
    """Go the way step by step.

    Args:
        config: Where to, and how.
        timeout: Seconds for each step.

    Raises:
        FailedError: There is no way on.
    """
    proxy = proxy_for(config.base_url, config.http)
    target = urlsplit(config.base_url)
    first = target if proxy is None else urlsplit(proxy)
    yield _resolve(first, proxy)
    if proxy is not None and first.scheme == "https":
        through = f"not looked into: the proxy {masked_url(proxy)} is spoken to by TLS itself"
        yield from (skipped(check, through) for check in (CONNECTION, TLS, CLOCK))
        return
    connection = _connection(target, proxy, timeout)
    try:
        yield _connect(connection, first, proxy)
        yield _secure(connection, config, target)
        yield _ask_for_the_time(connection, config, proxy)
    finally:
        connection.close()


def judge_clock(date: str | None, now: datetime) -> Finding:
    """Compare the clocks.

    Args:
        date: The header `Date`; None: there was none.
        now: This machine's time.

    Raises:
        FailedError: They are too far apart.
    """
    try:
        theirs = parsedate_to_datetime(date or "")
        theirs = theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)
    except ValueError:
        return skipped(CLOCK, "the platform does not tell its time (no Date header)")
    # Half a second: whole seconds are cut off, not rounded.
    behind = (theirs - now).total_seconds() + 0.5
    side = "behind" if behind > 0 else "ahead of"
    detail = f"{abs(behind):,.0f} s {side} the platform's"
    remedy = "set this machine's clock by NTP: events without a time of their own carry it"
    if abs(behind) > _WORTH_A_FAILURE:
        raise FailedError(CLOCK, detail, remedy)
    if abs(behind) > _WORTH_A_WARNING:
        return warning(CLOCK, detail, remedy)
    return ok(CLOCK, f"within {_WORTH_A_WARNING:.0f} s of the platform's")


def _port(url: SplitResult) -> int:
    return url.port or _PORTS[url.scheme]


def _resolve(url: SplitResult, proxy: str | None) -> Finding:
    host = url.hostname or ""
    try:
        found = socket.getaddrinfo(host, _port(url), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        what = "the proxy's name" if proxy else "base_url"
        remedy = f"is {what} right? If it is, see to this machine's DNS (/etc/resolv.conf)"
        reason = error.strerror if isinstance(error, OSError) else error
        raise FailedError(RESOLUTION, f"{host}: {reason}", remedy) from None
    addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
    return ok(RESOLUTION, f"{host} is {', '.join(addresses)}")


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
        remedy = "does a firewall drop it? If a proxy leads out, name it: DATAART_HTTP_PROXY"
        raise FailedError(
            CONNECTION, f"{place}: no answer in {connection.timeout:g} s", remedy
        ) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error)
        remedy = "is the port right, and does the platform (or the proxy) run?"
        raise FailedError(CONNECTION, f"{place}: {reason}{through}", remedy) from None
    return ok(CONNECTION, f"to {place}{through}")


def _secure(
    connection: http.client.HTTPConnection, config: ClientConfig, target: SplitResult
) -> Finding:
    if target.scheme == "http":
        if config.travels_in_the_clear:
            detail = "none: the key and all events travel unencrypted"
            return warning(TLS, detail, "use https:// in base_url")
        return skipped(TLS, "none: the platform is on this machine")
    try:
        context = client_context(config.http)
        connection.sock = context.wrap_socket(connection.sock, server_hostname=target.hostname)
    except ConfigError as error:
        raise FailedError(TLS, str(error), "see DATAART_HTTP_CA_FILE and …_CLIENT_CERT") from None
    except ssl.SSLCertVerificationError as error:
        remedy = (
            "if it is an authority of your own, name its file: DATAART_HTTP_CA_FILE; "
            "else the name in base_url, or this machine's clock, is wrong"
        )
        raise FailedError(TLS, f"the certificate: {error.verify_message}", remedy) from None
    except OSError as error:  # which ssl.SSLError is
        remedy = "does TLS run on this port? An http:// platform is named by http:// in base_url"
        raise FailedError(TLS, f"{error.strerror or error}", remedy) from None
    return _judge_certificate(connection.sock.getpeercert() or {}, connection.sock.version())


def _judge_certificate(certificate: dict[str, Any], version: str | None) -> Finding:
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    days = (until - datetime.now(UTC)).days
    detail = f"{version}, the certificate is valid for {days:,} more days"
    if days < _DAYS_LEFT:
        return warning(TLS, detail, "tell whoever runs the platform: it has to be renewed")
    return ok(TLS, detail)


def _ask_for_the_time(
    connection: http.client.HTTPConnection, config: ClientConfig, proxy: str | None
) -> Finding:
    target = urlsplit(config.base_url)
    is_relayed = proxy is not None and target.scheme == "http"
    path = config.base_url if is_relayed else f"{target.path}/"
    try:
        # The port stands in it only if it is not the scheme's own, as in any request.
        headers = {"Host": target.netloc, **(_proxy_headers(proxy) if proxy else {})}
        connection.request("HEAD", path, headers=headers if is_relayed else {"Host": target.netloc})
        answer = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        remedy = "is it the platform that listens there? See base_url"
        reason = f"{type(error).__name__}: {error}"
        raise FailedError(CLOCK, f"no answer by HTTP: {reason}", remedy) from None
    return judge_clock(answer.getheader("Date"), datetime.now(UTC))


def _proxy_headers(proxy: str) -> dict[str, str]:
    auth = credentials(proxy)
    if auth is None:
        return {}
    return {"Proxy-Authorization": f"Basic {b64encode(auth.encode('latin-1')).decode()}"}
