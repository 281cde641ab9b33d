"""The proxy: through which one the requests go, and what it wants to hear."""

import os
from urllib.parse import unquote, urlsplit

from dataart_mp.config import HTTPOptions
from dataart_mp.config.url import is_loopback, proxy_url
from dataart_mp.errors import ConfigError


def proxy_for(url: str, http: HTTPOptions) -> str | None:
    """The URL of the proxy on the way to `url`: the one that is set, or else the environment's.

    As the Go client has it, the environment names none for this machine itself.

    Raises:
        ConfigError: the environment's cannot be used; the message names the variable, and shows
            neither user nor password.
    """
    if http.proxy is not None or not http.trust_env:
        return http.proxy
    target = urlsplit(url)
    names = [name for name in os.environ if name.lower() == f"{target.scheme}_proxy"]
    if not names or is_loopback(target.hostname):
        return None
    proxy = _of_environment(target.scheme, target.netloc)
    if proxy is None:
        return None
    return _checked(
        next(name for name in names if os.environ[name] == proxy),
        proxy if "://" in proxy else f"http://{proxy}",
    )


def _of_environment(scheme: str, place: str) -> str | None:
    """What everybody reads in the environment; None when the place needs no proxy."""
    # It takes 40 ms, which no application without a proxy should have to wait for.
    import urllib.request

    # Not getproxies(), which on macOS asks the system too, and may not in a forked process.
    proxy = urllib.request.getproxies_environment().get(scheme)
    return None if proxy is None or urllib.request.proxy_bypass(place) else proxy


def _checked(name: str, proxy: str) -> str:
    """The proxy, held to the rules of one that is set in the configuration."""
    try:
        return proxy_url("proxy", proxy)
    except ConfigError as error:
        remedy = "or set HTTPOptions(proxy=...), or trust_env=False to ignore the variable"
        raise ConfigError(f"{name}: {error}; {remedy}", error.field, error.shown) from None


def credentials(proxy: str) -> str | None:
    """What `user:password@` in a proxy's URL stands for; None when there is none."""
    auth, at, _ = urlsplit(proxy).netloc.rpartition("@")
    # Latin-1, as they travel: bytes that are percent-encoded stay the same bytes.
    return unquote(auth, "latin-1") if at else None
