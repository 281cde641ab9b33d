"""The mask over secrets in what a platform or a proxy returns: some quote what they refuse."""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from dataart_mp.config import ClientConfig
from dataart_mp.config.setting import MASK
from dataart_mp.transport.proxy import credentials, proxy_for

_MASK: Final = MASK.encode()
_NAMES_A_SECRET: Final = re.compile(
    "auth|cookie|credential|key|pass|secret|session|sign|token", re.IGNORECASE
).search
# The header that is written to be seen.
_PUBLIC: Final = "user-agent"
# A shorter value, such as "prod", is masked as a whole word only: ordinary words may contain it.
_SHORT: Final = 8
_SHORT_PASSWORD: Final = 4
# A still shorter value of a header whose name does not promise a secret is none.
_SHORTEST: Final = 4
_SPECIAL_IN_HTML: Final = frozenset("&<>\"'")


class SecretMask:
    """Replaces the secrets of a configuration: API key, header values and passwords.

    Each is found in every form in which a server may quote it: in Latin-1 and UTF-8, as text of
    JSON, HTML or an exception, percent-encoded, and without what surrounds it in its header.

    Args:
        config: The configuration with which requests are sent.
        keys: The API keys with which requests are, or were, sent; empty ones are ignored. None:
            the key of the configuration.
    """

    def __init__(self, config: ClientConfig, keys: Iterable[str] | None = None) -> None:
        keys = [config.api_key] if keys is None else keys
        anywhere = {form for key in keys for form in _forms(key)}
        words: set[bytes] = set()
        for secret, shortest in _secrets(config):
            target = words if len(secret) < shortest else anywhere
            target.update(_forms(secret))
        # The longest first: one may be a part of another.
        self._anywhere = sorted(anywhere, key=len, reverse=True)
        self._words = _whole_words(words - anywhere)

    def masked(self, text: bytes, *, is_cut: bool = False) -> bytes:
        """Return a text without secrets.

        Args:
            text: What was returned.
            is_cut: Whether the text ends before its end, so that it may end within a secret.
        """
        for secret in self._anywhere:
            text = text.replace(secret, _MASK)
        if self._words is not None:
            text = self._words.sub(_MASK, text)
        return self._without_beginning(text) if is_cut else text

    def _without_beginning(self, text: bytes) -> bytes:
        """Mask the longest beginning of a secret at the end of a text."""
        longest = max(
            (
                length
                for secret in self._anywhere
                for length in range(len(secret))
                if text.endswith(secret[:length])
            ),
            default=0,
        )
        return text[:-longest] + _MASK if longest else text


def _secrets(config: ClientConfig) -> Iterator[tuple[str, int]]:
    """Yield each secret, and how long it must be to be masked within words."""
    http = config.http
    for name, value in http.headers.items():
        if name.lower() == _PUBLIC:
            continue
        if _NAMES_A_SECRET(name):
            yield value, 0
            for part in _parts(value):
                yield part, _SHORT_PASSWORD
        elif len(value) >= _SHORTEST:
            yield value, _SHORT
    if http.client_key_password:
        yield http.client_key_password, _SHORT_PASSWORD
    proxy = http.proxy if config.pool_factory else proxy_for(config.base_url, http)
    if proxy is not None:
        for part in _proxy_secrets(proxy):
            yield part, _SHORT_PASSWORD


def _parts(value: str) -> Iterator[str]:
    """Yield the parts of a header's value that are secrets themselves."""
    scheme, _, rest = value.partition(" ")
    if rest:
        yield rest.strip()
    if scheme.lower() == "basic":
        try:
            login = base64.b64decode(rest, validate=True).decode("latin-1")
        except (binascii.Error, ValueError):
            return
        yield login
        yield login.partition(":")[2]
    # Cookies, and parameters of an authentication scheme.
    for pair in re.split("[;,]", value):
        parameter = pair.partition("=")[2].strip().strip('"')
        if parameter:
            yield parameter


def _proxy_secrets(proxy: str) -> Iterator[str]:
    login = credentials(proxy)
    if login is None:
        return
    sent = urlsplit(proxy).netloc.rpartition("@")[0]
    for text in (login, sent, unquote(sent)):
        yield text
        yield text.partition(":")[2]
    yield base64.b64encode(login.encode("latin-1")).decode()


def _forms(secret: str) -> Iterator[bytes]:
    """Yield the bytes by which a server may quote a secret."""
    for text in (
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        *_in_html(secret),
        repr(secret)[1:-1],
        repr(secret.encode("latin-1", "replace"))[2:-1],
        repr(secret.encode("utf-8", "replace"))[2:-1],
        quote(secret, safe=""),
        quote(secret, safe="", encoding="latin-1", errors="replace"),
    ):
        for encoding in ("latin-1", "utf-8"):
            form = text.encode(encoding, "ignore")
            if form:
                yield form


def _in_html(secret: str) -> Iterator[str]:
    """Yield the texts by which a page may quote a secret."""
    if not _SPECIAL_IN_HTML.intersection(secret):
        return
    import html  # here, because its tables take 0.5 MB, and few keys need them

    yield html.escape(secret)
    yield html.escape(secret, quote=False)


def _whole_words(words: set[bytes]) -> re.Pattern[bytes] | None:
    if not words:
        return None
    either = b"|".join(map(re.escape, sorted(words, key=len, reverse=True)))
    return re.compile(rb"(?<![0-9A-Za-z])(?:%b)(?![0-9A-Za-z])" % either)
