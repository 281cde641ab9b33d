"""NO_PROXY is read as Go, curl and requests read it."""

import pytest

from dataart_mp import HTTPOptions
from dataart_mp.transport.no_proxy import is_without_proxy
from dataart_mp.transport.proxy import proxy_for

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("url", "no_proxy", "expected"),
    [
        # every host
        ("https://h", "*", True),
        ("https://10.0.0.1", "a,*", True),
        ("https://h", "", False),
        ("https://h", " , ,", False),
        # names
        ("https://h.example", "h.example", True),
        ("https://H.Example", "h.eXAMPLE", True),
        ("https://h.example.", "h.example", True),
        ("https://h.example", "h.example.", True),
        ("https://a.h.example", "h.example", True),
        ("https://a.b.h.example", ".h.example", True),
        ("https://h.example", ".h.example", True),
        ("https://a.h.example", "*.h.example", True),
        ("https://ah.example", "h.example", False),
        ("https://ah.example", "*.h.example", False),
        ("https://h.example.org", "h.example", False),
        ("https://h.example", "example.", True),
        ("https://h.example", ".", False),
        ("https://h.example", "*.", False),
        ("https://h.example", "xample", False),
        # separators
        ("https://h", "a,h,b", True),
        ("https://h", "a, h ,b", True),
        ("https://h", "a h b", True),
        ("https://h", "a\th", True),
        # ports
        ("https://h:8443", "h:8443", True),
        ("https://h:8443", "h:443", False),
        ("https://h", "h:443", True),
        ("http://h", "h:80", True),
        ("http://h", "h:443", False),
        ("https://a.h:8443", ".h:8443", True),
        ("https://h:8443", "h", True),
        ("https://10.0.0.1:8443", "10.0.0.1:8443", True),
        ("https://10.0.0.1:8443", "10.0.0.1:1", False),
        ("https://[fd00::1]:8443", "[fd00::1]:8443", True),
        ("https://[fd00::1]:8443", "[fd00::1]:1", False),
        # addresses
        ("https://10.0.0.1", "10.0.0.1", True),
        ("https://10.0.0.1", "10.0.0.2", False),
        ("https://110.0.0.1", "10.0.0.1", False),
        ("https://10.0.0.1", "0.0.1", False),
        ("https://[fd00::1]", "fd00::1", True),
        ("https://[fd00::1]", "[fd00::1]", True),
        ("https://[fd00::1]", "FD00:0:0:0:0:0:0:1", True),
        ("https://[fd00::2]", "fd00::1", False),
        ("https://[fe80::1%25eth0]", "fe80::1", True),
        ("https://[::ffff:10.0.0.1]", "10.0.0.1", True),
        ("https://10.0.0.1", "::ffff:10.0.0.1", True),
        # networks
        ("https://10.1.2.3", "10.0.0.0/8", True),
        ("https://10.1.2.3:8443", "10.0.0.0/8", True),
        ("https://11.1.2.3", "10.0.0.0/8", False),
        ("https://10.1.2.3", "10.1.2.3/32", True),
        ("https://10.1.2.3", "0.0.0.0/0", True),
        ("https://192.168.7.9", "127.0.0.0/8,192.168.0.0/16", True),
        ("https://10.1.2.3", "10.9.9.9/8", True),
        ("https://[fd12::1]", "fd00::/8", True),
        ("https://[fd12::1]", "[fd00::]/8", True),
        ("https://[fe80::1]", "fd00::/8", False),
        ("https://[fe80::1%25eth0]", "fe80::/10", True),
        ("https://[::ffff:10.0.0.1]", "10.0.0.0/8", True),
        ("https://10.1.2.3", "::/0", False),
        ("https://[fd12::1]", "0.0.0.0/0", False),
        ("https://h.example", "0.0.0.0/0", False),
        # none of these
        ("https://10.1.2.3", "10.0.0.0/33", False),
        ("https://10.1.2.3", "10.0.0.0/x", False),
        ("https://10.1.2.3", "10.0.0.0/8:443", False),
        ("https://h", "http://h", False),
        ("https://h", "h:port", False),
        ("https://h", ":443", False),
        ("https://h", "[", False),
        ("https://h", "/", False),
    ],
)
def test_no_proxy_names_hosts_addresses_networks_and_ports(
    url: str, no_proxy: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_without_proxy(url, no_proxy) is expected
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxy_for(url, HTTPOptions()) == (None if expected else PROXY)
