"""`HTTPOptions`: how requests are sent."""

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY
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
from dataart_mp.config.environment import json_object, number, truth
from dataart_mp.config.setting import (
    Setting,
    config_error,
    mask,
    masked_repr,
    secret_error,
    settings,
)
from dataart_mp.config.url import masked_url, proxy_url
from dataart_mp.config.zstd import zstd_module

Compression = Literal["gzip", "zstd"]
OptionalCompression = Setting[Compression | None, Compression | None]
Headers = Setting[Mapping[str, str], Mapping[str, str]]

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


def _headers(field: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        # Not shown: header values are often secrets.
        raise secret_error(field, 'must be a mapping; pass a dict such as {"X-Team": "ads"}')
    seen: set[str] = set()
    for name, text in value.items():
        _check_header(f"{field}[{name!r}]", name, text)
        if name.lower() in seen:
            raise secret_error(f"{field}[{name!r}]", "is duplicated; header names ignore case")
        seen.add(name.lower())
    return dict(value)


def _check_header(field: str, name: object, value: object) -> None:
    if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
        raise secret_error(field, "must have a name of letters, digits and hyphens")
    if name.lower() in _OWNED_HEADERS:
        raise secret_error(field, f"belongs to the client; {_OWNED_HEADERS[name.lower()]}")
    if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
        raise secret_error(field, "must be Latin-1 text without line breaks or control characters")


def _names_only(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: mask(value) for name, value in headers.items()}


@settings
class HTTPOptions:
    """How requests are sent. All arguments are keywords; times are in seconds, or timedeltas.

    Two options with the same values are equal. `repr` shows no secrets: neither the password of
    the key or the proxy, nor the value of any header.

    Attributes:
        connect_timeout: Seconds to wait for each step of connecting (TCP, TLS, a tunnel), and for
            the server to accept each 64 KiB of a request (16 KiB with TLS).
        read_timeout: Seconds to wait for a whole response.
        proxy: URL of an HTTP proxy, `http://user:password@host:3128`; None: the environment
            decides (see `trust_env`).
        ca_file: PEM file of the certificate authorities to trust; None: the system's.
        client_cert: PEM file of the client certificate.
        client_key: PEM file of its key; None: the file of the certificate contains it.
        client_key_password: Password of the key.
        headers: Extra headers of each request. Headers that the client writes itself are refused,
            except User-Agent.
        compression: Compression of request bodies: None, `"gzip"` or `"zstd"`. The platform is
            not known to accept either; ask first.
        trust_env: Whether HTTPS_PROXY, HTTP_PROXY and NO_PROXY are used.

    Raises:
        ConfigError: A value is refused; the message names the field, the value and the fix.
    """

    _: KW_ONLY
    connect_timeout: Seconds = Setting(default=5.0, check=seconds(), parse=number)
    read_timeout: Seconds = Setting(default=30.0, check=seconds(), parse=number)
    proxy: OptionalText = Setting(default=None, check=optional(proxy_url), hide=masked_url)
    ca_file: OptionalFile = Setting(default=None, check=optional(readable_file))
    client_cert: OptionalFile = Setting(default=None, check=optional(readable_file))
    client_key: OptionalFile = Setting(default=None, check=optional(readable_file))
    client_key_password: OptionalText = Setting(default=None, check=optional(_password), hide=mask)
    headers: Headers = Setting(
        default_factory=dict, check=_headers, parse=json_object, hide=_names_only
    )
    compression: OptionalCompression = Setting(default=None, check=optional(_compression))
    trust_env: Flag = Setting(default=True, check=boolean, parse=truth)

    def __post_init__(self) -> None:
        if self.client_cert is None:
            self._refuse_key_without_certificate()

    def _refuse_key_without_certificate(self) -> None:
        problem = "has no effect without client_cert; set client_cert too"
        if self.client_key is not None:
            raise config_error("client_key", self.client_key, problem)
        if self.client_key_password is not None:
            raise secret_error("client_key_password", problem)

    def to_wire(self) -> dict[str, Any]:
        """Return the options as plain JSON data. It includes secrets."""
        return {**vars(self), "headers": dict(self.headers)}

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Self:
        """Make options from the result of `to_wire`."""
        return cls(**data)

    def __repr__(self) -> str:
        return masked_repr(self)
