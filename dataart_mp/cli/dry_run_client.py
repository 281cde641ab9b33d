"""A client that checks events as the real one does, and sends nothing."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dataart_mp.config import ClientConfig
from dataart_mp.errors import EventError
from dataart_mp.producer.hooks import DroppedError, Hooks
from dataart_mp.transport import envelope


class DryRunClient:
    """Validates events as a client does, counts them, and discards them.

    Args:
        config: The configuration of the client that would send them.

    Attributes:
        actions: Number of valid actions that would be sent.
        identities: Number of valid identities.
        sampled: Number of valid actions that `sample_rate` leaves out.
        first: The record of the first event that would be sent; None: there was none.
    """

    def __init__(self, config: ClientConfig) -> None:
        self.first: bytes | None = None
        self._hooks = Hooks(config)
        self._capacity = config.max_request_bytes - envelope.MAX_BYTES
        self.actions = 0
        self.identities = 0
        self.sampled = 0

    def emit_action(
        self,
        key: str,
        user_key: str,
        is_anonymous_user: bool = False,
        timestamp: datetime | str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """Check an action; see `DataArtClient.emit_action`.

        Returns:
            Whether it would be sent.

        Raises:
            EventError: The client would refuse it.
        """
        try:
            record = self._hooks.encode_action(
                key, user_key, is_anonymous_user, timestamp, metadata
            )
        except DroppedError:
            self.sampled += 1
            return False
        self._check(record)
        self.actions += 1
        return True

    def identify(self, user_key: str, metadata: Mapping[str, Any] | None = None) -> bool:
        """Check an identity; see `DataArtClient.identify`.

        Raises:
            EventError: The client would refuse it.
        """
        self._check(self._hooks.encode_identity(user_key, metadata))
        self.identities += 1
        return True

    def _check(self, record: bytes) -> None:
        if len(record) > self._capacity:
            raise EventError(
                f"the event takes {len(record):,} bytes as JSON, but a request holds "
                f"{self._capacity:,}"
            )
        if self.first is None:
            self.first = record
