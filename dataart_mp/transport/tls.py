"""TLS: which servers the client trusts, and which certificate it shows."""

import ssl

from dataart_mp import clock
from dataart_mp.config import HTTPOptions
from dataart_mp.config.setting import config_error


def client_context(http: HTTPOptions) -> ssl.SSLContext:
    """Return a context for all connections.

    It is made once, because loading the authorities takes 20 ms. It is made when a worker starts,
    so a file that cannot be used stops the worker before any event is sent and fails.

    Args:
        http: The options; see `HTTPOptions.ca_file` and `HTTPOptions.client_cert`.

    Raises:
        ConfigError: A file does not hold a certificate or its key.
    """
    context = _trusting(http.ca_file)
    if http.client_cert is not None:
        try:
            # "" for no password: with None, OpenSSL would ask for one on the terminal.
            context.load_cert_chain(
                http.client_cert, http.client_key, http.client_key_password or ""
            )
        except OSError as error:
            problem = f"is not a certificate with its key: {error}; check client_key_password too"
            raise config_error("client_cert", http.client_cert, problem) from None
    return context


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is a subclass
        problem = f"holds no PEM certificate: {error}"
        raise config_error("ca_file", ca_file, problem) from None


class TimedSocket(ssl.SSLSocket):
    """A socket whose timeout covers all reads until it is set again, and not each of them.

    For the connection to a proxy with TLS: urllib3 reads the TLS of the platform, which is inside,
    from it in as many reads as it takes, and a read that does not time out may be a single byte.
    """

    _end: float | None = None

    def settimeout(self, value: float | None, /) -> None:
        """Set the seconds for all that follows."""
        self._end = None if value is None else clock.monotonic() + value
        super().settimeout(value)

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Read what has arrived.

        Raises:
            TimeoutError: The time is over.
        """
        if self._end is not None:
            seconds = self._end - clock.monotonic()
            if seconds <= 0:
                raise TimeoutError("timed out")
            super().settimeout(seconds)
        return super().recv(buflen, flags)
