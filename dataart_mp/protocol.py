"""The interface of a client: applications depend on it, and their tests can substitute it."""

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

from dataart_mp.stats import Outcome, Stats


class Emitted(NamedTuple):
    """The result of a call of `emit_actions` or `emit_table`.

    The other `accepted - dropped` events are in the queue of the client.

    Attributes:
        accepted: Valid events taken from the caller, including those that were dropped.
        dropped: How many of the accepted events were dropped (`overflow="drop"`, or by a hook); for
            each of them `emit_action` would have returned False.
    """

    accepted: int
    dropped: int = 0


class DeliveryMark(Protocol):
    """A moment in the stream of events of one process; see `Client.mark`."""

    def pending(self) -> int:
        """Return how many of the events before the mark are pending.

        0 means that each is delivered or accounted for: `outcome` says how many were rejected,
        failed, parked or dropped. An acknowledgement upstream is due then.
        """
        ...

    def outcome(self) -> Outcome:
        """Return how many of the events before the mark are pending, rejected, failed, and so on.

        It counts from the beginning of the process. The difference of the outcomes of two marks is
        what became of the events between them.
        """
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Wait until none of the events before the mark is pending.

        Args:
            timeout: Seconds; None waits without a limit.

        Returns:
            As `pending` does.
        """
        ...


@runtime_checkable
class DataArtClient(Protocol):
    """The methods that `Client`, `testing.RecordingClient` and custom mocks have in common."""

    def emit_action(
        self,
        key: str,
        user_key: str,
        is_anonymous_user: bool = False,
        timestamp: datetime | str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """Emit an action: what a user did.

        Args:
            key: Name of the action; non-empty.
            user_key: Key of the user; non-empty.
            is_anonymous_user: Whether `user_key` stands for an unknown user.
            timestamp: Time of the action. None is now, a naive datetime is local time, text must
                be RFC 3339 with an offset.
            metadata: Further data. It is encoded during the call: later changes have no effect.

        Returns:
            True, or False if no buffer is free and the event was dropped and counted.

        Raises:
            EventError: The event cannot be sent; other events are unaffected.
            BufferFullError: No buffer is free, and the client is configured to raise.
            ClosedError: The client is closed.
        """
        ...

    def emit_actions(self, actions: Iterable[Mapping[str, Any]]) -> Emitted:
        """Emit many actions in one call, at a lower cost for each.

        Args:
            actions: Mappings of the arguments of `emit_action`, by name. They are read and emitted
                in groups of at most a few hundred, so the iterable may be infinite. An exception
                that it raises is passed on after all actions before it are emitted.

        Returns:
            The number of accepted events, and how many of them were dropped.

        Raises:
            ActionsError: Some actions cannot be sent; it names each, such as
                `actions[3].metadata.price`. It is raised at the end, when all other actions are
                emitted, or after a hundred were refused.
            BufferFullError: No buffer is free, and the client is configured to raise. Its `rest`
                holds the actions that were read but not accepted.
            ClosedError: The client is closed.
        """
        ...

    def identify(self, user_key: str, metadata: Mapping[str, Any] | None = None) -> bool:
        """Emit an identity: who a user is. Returns and raises as `emit_action` does."""
        ...

    def flush(self, timeout: float | None = None) -> int:
        """Wait until all emitted events are settled.

        Args:
            timeout: Seconds; None waits without a limit.

        Returns:
            The number of records that are still pending; 0 means that all are settled.
        """
        ...

    def close(self, timeout: float | None = None) -> int:
        """Flush, and accept no more events. A second call has no effect.

        Args:
            timeout: Seconds; None waits without a limit.

        Returns:
            The number of records that are still pending; 0 means that all are settled.
        """
        ...

    def stats(self) -> Stats:
        """Return a snapshot of the counters."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


@runtime_checkable
class AsyncDataArtClient(Protocol):
    """The methods that `aio.AsyncClient` and `testing.AsyncRecordingClient` have in common.

    Each does what the method of `DataArtClient` with the same name does, and `aclose` what `close`
    does, without blocking the event loop.
    """

    async def emit_action(
        self,
        key: str,
        user_key: str,
        is_anonymous_user: bool = False,
        timestamp: datetime | str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """Emit an action: what a user did."""
        ...

    async def emit_actions(
        self,
        actions: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        *,
        progress: Callable[[int], object] | None = None,
    ) -> Emitted:
        """Emit many actions in one call, also from an async iterable.

        `progress` is called with the number of actions that are processed, also when the call is
        cancelled.
        """
        ...

    async def identify(self, user_key: str, metadata: Mapping[str, Any] | None = None) -> bool:
        """Emit an identity: who a user is."""
        ...

    async def flush(self, timeout: float | None = None) -> int:
        """Wait until all emitted events are settled."""
        ...

    async def aclose(self, timeout: float | None = None) -> int:
        """Flush, and accept no more events."""
        ...

    def stats(self) -> Stats:
        """Return a snapshot of the counters."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
