"""What takes the events of rows: a client, or something that only checks them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from dataart_mp.cli.input.refusal import refusal
from dataart_mp.errors import EventError
from dataart_mp.table.event import Action, Identity


class Emitter(Protocol):
    """The methods of a client that emit events. See `DataArtClient`."""

    def emit_action(
        self,
        key: str,
        user_key: str,
        is_anonymous_user: bool = False,
        timestamp: datetime | str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """Emit an action."""
        ...

    def identify(self, user_key: str, metadata: Mapping[str, Any] | None = None) -> bool:
        """Emit an identity."""
        ...


def emit(event: Action | Identity, emitter: Emitter) -> bool:
    """Emit an event; see `DataArtClient.emit_action` and `identify`.

    Raises:
        EventError: The emitter refuses it; the message is written for the user of a file.
    """
    try:
        if isinstance(event, Action):
            return emitter.emit_action(*event)
        return emitter.identify(*event)
    except EventError as error:
        raise refusal(error, event._asdict()) from None
