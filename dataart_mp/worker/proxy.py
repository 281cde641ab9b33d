"""The proxy: through which one the requests go, and what it wants to hear."""

import urllib.request
from urllib.parse import unquote, urlsplit

from dataart_mp.config import HTTPOptions
from dataart_mp.config.url import is_loopback


def proxy_for(url: str, http: HTTPOptions) -> str | None:
    """The URL of the proxy on the way to `url`: the one that is set, or else the environment's.

    As the Go client has it, the environment names none for this machine itself.
    """
    if http.proxy is not None or not http.trust_env:
        return http.proxy
    target = urlsplit(url)
    # Not getproxies(), which on macOS asks the system too, and may not in a forked process.
    proxy = urllib.request.getproxies_environment().get(target.scheme)
    if proxy is None or is_loopback(target.hostname) or urllib.request.proxy_bypass(target.netloc):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def credentials(proxy: str) -> str | None:
    """What `user:password@` in a proxy's URL stands for; None when there is none."""
    auth, at, _ = urlsplit(proxy).netloc.rpartition("@")
    # Latin-1, as they travel: bytes that are percent-encoded stay the same bytes.
    return unquote(auth, "latin-1") if at else None
