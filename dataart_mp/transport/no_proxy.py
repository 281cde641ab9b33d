"""NO_PROXY: the hosts that are reached without the proxy of the environment.

    *                       every host
    example.com             the host, and every host below it; so do .example.com and *.example.com
    10.0.0.1, fd00::1       the address, however it is written
    10.0.0.0/8, fd00::/8    every address of the network
    example.com:8443        any of the first three kinds, on this port only; [fd00::1]:8443

Entries are separated by commas or spaces, as in Go, curl and requests. An entry that is none of
these has no effect. Names are compared as they are written: none is resolved to an address.
"""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_SEPARATOR = re.compile(r"[,\s]+")
_PORT = re.compile(r"(?P<host>[^:]*|\[[^\]]*\]):(?P<port>\d+)")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class _Target:
    """Where requests go."""

    host: str
    port: int | None
    address: _Address | None


def is_without_proxy(url: str, no_proxy: str) -> bool:
    """Return whether requests to a URL use no proxy.

    Args:
        url: Where requests go.
        no_proxy: The value of NO_PROXY.
    """
    parts = urlsplit(url)
    host = _plain(parts.hostname or "")
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    target = _Target(host, port, _address(host))
    return any(_matches(entry, target) for entry in _SEPARATOR.split(no_proxy) if entry)


def _matches(entry: str, target: _Target) -> bool:
    if entry == "*":
        return True
    with_port = _PORT.fullmatch(entry)
    if with_port is not None:
        if int(with_port["port"]) != target.port:
            return False
        entry = with_port["host"]
    if "/" in entry:
        return with_port is None and _is_in_network(entry, target.address)
    entry = _plain(entry)
    if target.address is not None:
        return _address(entry) == target.address
    return _is_domain_of(entry, target.host)


def _is_domain_of(entry: str, host: str) -> bool:
    domain = entry.removeprefix("*").lstrip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _is_in_network(entry: str, address: _Address | None) -> bool:
    try:
        network = ipaddress.ip_network(entry.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return False
    return address is not None and address.version == network.version and address in network


def _plain(host: str) -> str:
    """Return a host in lower case, without brackets and without the dot of the root."""
    return host.strip("[]").lower().removesuffix(".")


def _address(host: str) -> _Address | None:
    """Return the address that a host is, without the zone; None if it is a name."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
