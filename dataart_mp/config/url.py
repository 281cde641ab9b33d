"""URLs in settings: how they are checked, and how secrets in them are hidden."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from dataart_mp.config.setting import MASK, secret_error

_USERINFO = re.compile(r"^([a-z][a-z0-9+.-]*://)?.*@", re.IGNORECASE | re.DOTALL)
_QUERY = re.compile(r"[?#].+$", re.DOTALL)
# What urllib3 accepts as host and port. It would end them at a backslash.
_PLACE = re.compile(r"(?:[^\[\]:%\\]+|\[([0-9a-f:.]+)(?:%[\w.~-]+)?\])(?::\d*)?", re.IGNORECASE)


def masked_url(url: str) -> str:
    """Hide user, password, query and fragment of a URL, even of a malformed one."""
    return _QUERY.sub(MASK, _USERINFO.sub(rf"\1{MASK}@", url))


def platform_url(field: str, value: object) -> str:
    """Check the URL of the platform. It is kept without a trailing slash."""
    url, parts = _http_url(field, value)
    if parts.username is not None:
        raise _url_error(field, url, "must not contain a user or password; the api_key is enough")
    if "?" in url or "#" in url:
        raise _url_error(field, url, "must end with its path; leave out query and fragment")
    return url.rstrip("/")


def proxy_url(field: str, value: object) -> str:
    """Check the URL of a proxy, which may contain a user and a password."""
    url, parts = _http_url(field, value)
    if parts.path.strip("/") or "?" in url or "#" in url:
        raise _url_error(field, url, "must end with host and port; leave out path and query")
    return url


def is_loopback(host: str | None) -> bool:
    """Whether a URL's host, a name or an address, is this machine."""
    if host is None or host == "localhost":
        return host is not None
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def _http_url(field: str, value: object) -> tuple[str, SplitResult]:
    if not isinstance(value, str):
        # Not shown: it may be a URL with a password, as bytes.
        raise secret_error(field, 'must be a URL as text, such as "https://host"; pass a str')
    if not value.isascii() or not value.isprintable() or " " in value:
        problem = "must be printable ASCII without spaces; percent-encode the rest, punycode a host"
        raise _url_error(field, value, problem)
    parts = _split(field, value)
    if parts.scheme not in {"http", "https"}:
        raise _url_error(field, value, "must begin with http:// or https://")
    if not parts.hostname:
        raise _url_error(field, value, 'must name a host, such as "https://host"')
    if not _is_place(parts.netloc):
        problem = "must name a host without percent signs or backslashes; percent-encode a password"
        raise _url_error(field, value, problem)
    return value, parts


def _is_place(netloc: str) -> bool:
    """Whether urllib3 finds the same host and port here."""
    userinfo, _, host_and_port = netloc.rpartition("@")
    place = _PLACE.fullmatch(host_and_port)
    if place is None or "\\" in userinfo:
        return False
    return place[1] is None or _is_ipv6(place[1])


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _split(field: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # parsed on access
    except ValueError as error:
        # The error may quote a part of the URL, so it is neither chained nor shown.
        del error
    else:
        return parts
    raise _url_error(field, url, "cannot be parsed; check host, brackets and port")


def _url_error(field: str, url: str, problem: str) -> Exception:
    return secret_error(field, problem, shown=repr(masked_url(url)))
