"""A location: where a redirect points to, fit for a log."""

import re
from urllib.parse import urlsplit

from dataart_mp.config.setting import MASK
from dataart_mp.config.url import masked_url

_QUERY = re.compile(r"[?#].+$", re.DOTALL)


def shown_location(location: str) -> str:
    """Return a Location header without user, password, query and fragment.

    A query or a fragment often carries a token, for example after a login. If it is not clear where
    the host begins, everything before the last `@` is hidden.
    """
    try:
        parts = urlsplit(location)
        _ = parts.port  # parsed on access
    except ValueError:
        return masked_url(location)
    is_clear = bool(parts.netloc) or location.startswith("/")
    if not is_clear or "@" in parts.netloc or "\\" in location:
        return masked_url(location)
    return _QUERY.sub(MASK, location)
