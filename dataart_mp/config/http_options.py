"""How requests travel: time-outs, proxy, certificates, extra headers, compression."""

# ruff: noqa: RUF009 - a Setting is no default but the descriptor itself, made once

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal, Self

from dataart_mp.config.checks import (
    Flag,
    OptionalFile,
    OptionalText,
    Seconds,
    boolean,
    optional,
    readable_file,
    seconds,
)
from dataart_mp.config.setting import MASK, Setting, config_error, masked_repr, secret_error
from dataart_mp.config.url import masked_url, proxy_url
from dataart_mp.config.zstd import zstd_module

Compression = Literal["gzip", "zstd"]
OptionalCompression = Setting[Compression | None, Compression | None]

_OWNED_HEADERS = {
    "x-api-key": "set api_key instead",
    "content-encoding": "set compression instead",
    "host": "set base_url instead",
    "content-type": "the client writes it; leave it out",
    "content-length": "the client writes it; leave it out",
    "transfer-encoding": "the client writes it; leave it out",
    "connection": "the client writes it; leave it out",
    "idempotency-key": "the client writes it; leave it out",
}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token of RFC 9110
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")  # Latin-1 without control characters


def _compression(field: str, value: object) -> Compression:
    if value == "gzip":
        return "gzip"
    if value == "zstd":
        if zstd_module() is not None:
            return "zstd"
        remedy = 'needs Python 3.14, or `pip install "dataart-mp[zstd]"`; or use "gzip"'
        raise config_error(field, value, remedy)
    raise config_error(field, value, 'must be None, "gzip" or "zstd"')


def _password(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise secret_error(field, "must be text; pass a str")
    return value


@dataclass(frozen=True, repr=False)
class HTTPOptions:
    """How requests travel. All arguments are keywords; times are seconds or timedeltas.

    Two options with the same values are equal. `repr` shows no secret: neither the password of
    the key or of the proxy, nor the value of any header.

    Attributes:
        connect_timeout: Seconds to wait for a connection, TLS included.
        read_timeout: Seconds to wait for each piece of an answer.
        proxy: URL of an HTTP proxy, `http://user:password@host:3128`; None asks the environment
            (see `trust_env`).
        ca_file: PEM file of the authorities to trust; None means the system's.
        client_cert: PEM file of the client's certificate.
        client_key: PEM file of its key; None when the certificate's file holds it.
        client_key_password: What the key is encrypted with.
        headers: Extra headers of each request. Those that the client writes itself are refused,
            except User-Agent.
        compression: Of request bodies: None, `"gzip"` or `"zstd"`. The platform is not known
            to take any: ask before.
        trust_env: Whether HTTPS_PROXY, HTTP_PROXY and NO_PROXY are obeyed.

    Raises:
        ConfigError: A value is refused; the message names field, value and remedy.
    """

    _: KW_ONLY
    connect_timeout: Seconds = Seconds(5.0, seconds())
    read_timeout: Seconds = Seconds(30.0, seconds())
    proxy: OptionalText = OptionalText(None, optional(proxy_url))
    ca_file: OptionalFile = OptionalFile(None, optional(readable_file))
    client_cert: OptionalFile = OptionalFile(None, optional(readable_file))
    client_key: OptionalFile = OptionalFile(None, optional(readable_file))
    client_key_password: OptionalText = OptionalText(None, optional(_password))
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    compression: OptionalCompression = OptionalCompression(None, optional(_compression))
    trust_env: Flag = Flag(True, boolean)

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", _checked_headers(self.headers))
        if self.client_cert is None:
            self._refuse_key_without_certificate()

    def _refuse_key_without_certificate(self) -> None:
        remedy = "means nothing without client_cert; set client_cert, too"
        if self.client_key is not None:
            raise config_error("client_key", self.client_key, remedy)
        if self.client_key_password is not None:
            raise secret_error("client_key_password", remedy)

    def __repr__(self) -> str:
        password = None if self.client_key_password is None else MASK
        return masked_repr(
            self,
            {
                "proxy": None if self.proxy is None else masked_url(self.proxy),
                "client_key_password": password,
                "headers": dict.fromkeys(self.headers, MASK),
            },
        )

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON data, secrets included: for a pipe, not for a log."""
        return {**vars(self), "headers": dict(self.headers)}

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Self:
        """Make the options again from what `to_wire` returned."""
        return cls(**data)


def _checked_headers(headers: object) -> dict[str, str]:
    if not isinstance(headers, Mapping):
        # Not shown: header values are secrets more often than not.
        raise secret_error("headers", 'must be a mapping; pass a dict such as {"X-Team": "ads"}')
    seen: set[str] = set()
    for name, value in headers.items():
        _check_header(name, value)
        if name.lower() in seen:
            raise secret_error(f"headers[{name!r}]", "is there twice; header names ignore case")
        seen.add(name.lower())
    return dict(headers)


def _check_header(name: object, value: object) -> None:
    field = f"headers[{name!r}]"
    if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
        raise secret_error(field, "must have a name of letters, digits and hyphens")
    if name.lower() in _OWNED_HEADERS:
        raise secret_error(field, f"belongs to the client; {_OWNED_HEADERS[name.lower()]}")
    if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
        raise secret_error(field, "must be Latin-1 text without line breaks or control characters")
