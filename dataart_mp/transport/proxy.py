"""The proxy: which one requests pass through, and the credentials it needs."""

import os
from urllib.parse import unquote, urlsplit

from dataart_mp.config import HTTPOptions
from dataart_mp.config.url import is_loopback, proxy_url
from dataart_mp.errors import ConfigError
from dataart_mp.transport.no_proxy import is_without_proxy


def proxy_for(url: str, http: HTTPOptions) -> str | None:
    """Return the URL of the proxy for requests to `url`; None if there is none.

    The configuration comes first, then the environment. As in Go, the environment's proxy is not
    used for this machine itself.

    Args:
        url: Where requests go.
        http: The options; see `HTTPOptions.proxy` and `HTTPOptions.trust_env`.

    Raises:
        ConfigError: The environment's proxy cannot be used. The message names the variable, and
            shows neither user nor password.
    """
    if http.proxy is not None or not http.trust_env:
        return http.proxy
    target = urlsplit(url)
    names = [name for name in os.environ if name.lower() == f"{target.scheme}_proxy"]
    if not names or is_loopback(target.hostname):
        return None
    proxy = _environment_proxy(target.scheme, url)
    if proxy is None:
        return None
    return _checked(
        next(name for name in names if os.environ[name] == proxy),
        proxy if "://" in proxy else f"http://{proxy}",
    )


def _environment_proxy(scheme: str, url: str) -> str | None:
    """Return the proxy that the environment names for a URL, by the rules of the standard library.

    For NO_PROXY those are not enough: they know no networks, among others.
    """
    # The import takes 40 ms; an application without a proxy should not wait for it.
    import urllib.request

    # Not getproxies(): on macOS that asks the system too, which a forked process must not do.
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get(scheme)
    return None if proxy is None or is_without_proxy(url, proxies.get("no", "")) else proxy


def _checked(name: str, proxy: str) -> str:
    """Check a variable's proxy by the rules for one in the configuration."""
    try:
        return proxy_url("proxy", proxy)
    except ConfigError as error:
        remedy = "or set HTTPOptions(proxy=...), or trust_env=False to ignore the variable"
        raise ConfigError(f"{name}: {error}; {remedy}", error.field, error.shown) from None


def credentials(proxy: str) -> str | None:
    """Return `user:password` from a proxy's URL, decoded; None if it has none."""
    auth, at, _ = urlsplit(proxy).netloc.rpartition("@")
    # HTTP sends Latin-1, so bytes that are percent-encoded stay the same bytes.
    return unquote(auth, "latin-1") if at else None
