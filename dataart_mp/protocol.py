"""The face of a client: what an application depends on, so that its tests can do without one."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

from dataart_mp.stats import Stats


class Emitted(NamedTuple):
    """What became of the actions of one `emit_actions`.

    Attributes:
        accepted: How many will be delivered; `emit_action` would have returned True.
        dropped: How many were dropped and counted; `emit_action` would have returned False.
    """

    accepted: int
    dropped: int = 0


@runtime_checkable
class DataArtClient(Protocol):
    """What `Client`, `testing.RecordingClient` and your own mock have in common."""

    def emit_action(
        self,
        key: str,
        user_key: str,
        is_anonymous_user: bool = False,
        timestamp: datetime | str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """Hand over what a user did.

        Args:
            key: What was done; not empty.
            user_key: Who did it; not empty.
            is_anonymous_user: Whether `user_key` stands for somebody unknown.
            timestamp: When; None is now, a naive datetime is local time, text must be RFC 3339
                with an offset.
            metadata: What else is known. It is encoded at once: later changes have no effect.

        Returns:
            True; False when no buffer is free and the event was dropped and counted.

        Raises:
            EventError: The event cannot be sent; nothing else is harmed.
            BufferFullError: No buffer is free, and the configuration asks to be told so.
            ClosedError: The client is closed.
        """
        ...

    def emit_actions(self, actions: Iterable[Mapping[str, Any]]) -> Emitted:
        """Hand over what users did: many actions, at a lower price for each.

        Args:
            actions: For each action the arguments of `emit_action`, by name. They are drawn and
                handed over in groups of a few hundred at most; so it may be endless, and
                what it raises passes through when all that it gave before is handed over.

        Returns:
            How many were accepted, and how many dropped.

        Raises:
            ActionsError: Some cannot be sent; it names each, such as
                `actions[3].metadata.price`. It is raised at the end, when all others are handed
                over, or when a hundred were refused.
            BufferFullError: No buffer is free, and the configuration asks to be told so. What was
                drawn and not handed over is in its `rest`.
            ClosedError: The client is closed.
        """
        ...

    def identify(self, user_key: str, metadata: Mapping[str, Any] | None = None) -> bool:
        """Hand over who a user is. Returns and raises as `emit_action` does."""
        ...

    def flush(self, timeout: float | None = None) -> int:
        """Wait until all that was handed over is settled.

        Args:
            timeout: Seconds; None waits as long as it takes.

        Returns:
            The number of records still pending: 0 is all settled.
        """
        ...

    def close(self, timeout: float | None = None) -> int:
        """Flush, and take no more events. Closing twice does no harm.

        Args:
            timeout: Seconds; None waits as long as it takes.

        Returns:
            The number of records still pending: 0 is all settled.
        """
        ...

    def stats(self) -> Stats:
        """Return the balance of records at this moment."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
