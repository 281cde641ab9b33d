"""The keys of requests, from their contents."""

from collections import Counter
from hashlib import blake2b
from typing import Final

_DIGEST_BYTES: Final = 16


class Keys:
    """Makes the Idempotency-Keys of a part: `source-part-digest`, or `source-part-digest-2`.

    A key is made of what the request carries, not of its place. If an engine gives an attempt the
    rows in another order, keys by place would repeat with other events, and a platform that honours
    keys would discard these.

    Args:
        source: The name of the job.
        part: The name of the part.
    """

    def __init__(self, source: str, part: str) -> None:
        self._prefix = f"{source}-{part}"
        self._seen: Counter[str] = Counter()

    def key_of(self, content: bytes) -> str:
        """Return the key of the next request.

        Args:
            content: Its records. If an earlier request of the part had the same ones, the events
                are sent twice on purpose, and the key has a number.
        """
        key = f"{self._prefix}-{blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()}"
        self._seen[key] += 1
        times = self._seen[key]
        return key if times == 1 else f"{key}-{times}"
