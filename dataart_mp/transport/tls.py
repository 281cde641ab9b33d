"""TLS: whom the client trusts, and who it says it is."""

import ssl

from dataart_mp.config import HTTPOptions
from dataart_mp.config.setting import config_error


def client_context(http: HTTPOptions) -> ssl.SSLContext:
    """The one context of all connections: to load the authorities for each would take 20 ms.

    Raises:
        ConfigError: a file doesn't hold what it should. Said at the start of the worker, before
            any event is tried, and given up on, for want of it.
    """
    context = _trusting(http.ca_file)
    if http.client_cert is not None:
        try:
            # "" for none: OpenSSL would ask for a password on the terminal.
            context.load_cert_chain(
                http.client_cert, http.client_key, http.client_key_password or ""
            )
        except OSError as error:
            problem = f"is no certificate with its key: {error}; see client_key_password, too"
            raise config_error("client_cert", http.client_cert, problem) from None
    return context


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # which ssl.SSLError is
        problem = f"holds no certificate in PEM: {error}"
        raise config_error("ca_file", ca_file, problem) from None
