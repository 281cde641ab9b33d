"""Sampling: which actions are sent, by the keys of the action and of its user.

The user's key alone decides how far down a user stands in the sample: the first 8 bytes of its
SHA-256, as a number, of which those below the rate times 2**64 are in. So the users in a sample of
10 % are all in a sample of 50 %, whatever the key of the action, the process, the machine and the
year.
"""

from collections.abc import Mapping
from typing import Final

_DIGEST_BYTES: Final = 8
_LIMIT: Final = 1 << (8 * _DIGEST_BYTES)


class Sampling:
    """Decides which actions are in the sample.

    Args:
        rate: The part of the users whose actions are in it, from 0 to 1; or a mapping of event
            keys to such rates. Actions with other keys are all in it.
    """

    def __init__(self, rate: float | Mapping[str, float]) -> None:
        rates = rate if isinstance(rate, Mapping) else {}
        self._limits = {key: _limit(part) for key, part in rates.items()}
        self._other = _LIMIT if isinstance(rate, Mapping) else _limit(rate)

    @property
    def keeps_all(self) -> bool:
        """Whether all actions are in the sample."""
        return {self._other, *self._limits.values()} == {_LIMIT}

    def keeps(self, key: str, user_key: str) -> bool:
        """Whether an action is in the sample."""
        limit = self._limits.get(key, self._other)
        if limit == _LIMIT:
            return True
        import hashlib  # here, because it loads OpenSSL: 3.6 MB, which few applications need

        digest = hashlib.sha256(user_key.encode(errors="surrogatepass")).digest()
        return int.from_bytes(digest[:_DIGEST_BYTES]) < limit


def _limit(rate: float) -> int:
    return int(rate * _LIMIT)
