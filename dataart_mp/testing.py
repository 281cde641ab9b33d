"""A client for an application's tests: it keeps events in memory instead of sending them.

    def test_a_signup_is_recorded():
        client = RecordingClient()
        sign_up(client, "ann")
        client.assert_emitted("signup", user_key="ann", metadata__contains={"plan": "free"})

The code under test takes a `dataart_mp.DataArtClient`; `RecordingClient` is one. pytest gets one
from the fixture `dataart_client`; see `pytest_plugin`.
"""

import collections
import dataclasses
import itertools
import json
import queue
import threading
from collections.abc import AsyncIterable, Generator, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from dataart_mp.config import ClientConfig
from dataart_mp.config.timeout import checked_timeout
from dataart_mp.errors import ClosedError, EventError
from dataart_mp.expectation import ANYTHING, check, expect_action, expect_identity
from dataart_mp.health import Health, assess
from dataart_mp.producer import bound
from dataart_mp.producer.bulk import Bulk
from dataart_mp.producer.hooks import DroppedError, Hooks
from dataart_mp.producer.progress import Progress, ProgressReport
from dataart_mp.protocol import Emitted
from dataart_mp.queue.counters import HOOK_REASONS
from dataart_mp.queue.frame_writer import Taken
from dataart_mp.stats import Outcome, Stats
from dataart_mp.transport import envelope

if TYPE_CHECKING:
    from dataart_mp.table.arguments import Choice, Metadata

_FRAME_RECORDS: Final = 256
_DEFAULTS: Final = ClientConfig("recording")


@dataclass(frozen=True)
class Action:
    """A recorded action, as the platform would have received it.

    Attributes:
        key: Name of the action.
        user_key: Key of the user.
        is_anonymous_user: Whether `user_key` stands for an unknown user.
        timestamp: Time of the action: an aware datetime, precise to the microsecond.
        metadata: Further data, decoded from JSON: a tuple has become a list, for example.
    """

    key: str
    user_key: str
    is_anonymous_user: bool
    timestamp: datetime
    metadata: dict[str, Any] | None


@dataclass(frozen=True)
class Identity:
    """A recorded identity, as the platform would have received it.

    Attributes:
        user_key: Key of the user.
        metadata: Data about the user, decoded from JSON.
    """

    user_key: str
    metadata: dict[str, Any] | None


class SettledMark:
    """The mark of a `RecordingClient`: everything before it counts as delivered, or is dropped.

    Args:
        dropped: Number of events that hooks have dropped before it.
    """

    def __init__(self, dropped: int = 0) -> None:
        self._dropped = dropped

    def pending(self) -> int:
        """Return 0: nothing is ever pending."""
        return 0

    def outcome(self) -> Outcome:
        """Return an outcome in which nothing is lost but what hooks have dropped."""
        return Outcome(dropped=self._dropped)

    def wait(self, timeout: float | None = None) -> int:
        """Return 0 at once.

        Raises:
            ValueError: The timeout is not a finite number of zero or more, and not None.
        """
        checked_timeout(timeout)
        return 0


class RecordingClient:
    """A `DataArtClient` that records events. It needs no configuration, and sends nothing.

    It refuses what `Client` refuses, with the same errors. Recorded events are decoded from their
    JSON. The client is thread-safe.

    Args:
        config: The settings of the application, if they matter to its tests: the hooks apply
            (`before_send`, `sample_rate`, `default_metadata`), and an event that is larger than
            `max_request_bytes` is refused. Metadata of `dataart_mp.context` applies always.
        max_request_bytes: As in `ClientConfig`; None: that of `config`.

    Raises:
        ConfigError: As for `Client`.
    """

    def __init__(
        self, config: ClientConfig | None = None, *, max_request_bytes: int | None = None
    ) -> None:
        config = _DEFAULTS if config is None else config
        if max_request_bytes is not None:
            config = dataclasses.replace(config, max_request_bytes=max_request_bytes)
        self._capacity = config.max_request_bytes - envelope.MAX_BYTES
        self._hooks = Hooks(config)
        self._lock = threading.Lock()
        self._is_closed = False
        self._reset()

    @property
    def actions(self) -> list[Action]:
        """A copy of the recorded actions, oldest first."""
        with self._lock:
            return list(self._actions)

    @property
    def identities(self) -> list[Identity]:
        """A copy of the recorded identities, oldest first."""
        with self._lock:
            return list(self._identities)

    def assert_emitted(
        self,
        key: str,
        *,
        user_key: Any = ANYTHING,
        is_anonymous_user: Any = ANYTHING,
        timestamp: Any = ANYTHING,
        metadata: Any = ANYTHING,
        metadata__contains: Mapping[str, Any] | None = None,
        times: int | None = None,
    ) -> Action | None:
        """Check that an action was recorded.

        Args:
            key: Its key.
            user_key: Its user, if that matters; so for the other fields.
            is_anonymous_user: Whether its user is unknown.
            timestamp: Its time, an aware datetime.
            metadata: All of its metadata, as it was passed or as it arrived: a tuple is equal to a
                list.
            metadata__contains: Keys and values that its metadata must have, among others. A dict
                in it must be contained in the dict there, in the same way.
            times: How many such actions were recorded; None: at least one.

        Returns:
            The first such action; None with `times=0`.

        Raises:
            AssertionError: There are more or fewer. The message shows the recorded actions, the
                nearest first, with what is different.
        """
        __tracebackhide__ = True
        expectation = expect_action(
            key,
            user_key=user_key,
            is_anonymous_user=is_anonymous_user,
            timestamp=timestamp,
            metadata=metadata,
            metadata__contains=metadata__contains,
        )
        found = check(expectation, [vars(action) for action in self.actions], times)
        return Action(**found[0]) if found else None

    def assert_identified(
        self,
        user_key: str,
        *,
        metadata: Any = ANYTHING,
        metadata__contains: Mapping[str, Any] | None = None,
        times: int | None = None,
    ) -> Identity | None:
        """Check that an identity was recorded. See `assert_emitted`."""
        __tracebackhide__ = True
        expectation = expect_identity(
            user_key, metadata=metadata, metadata__contains=metadata__contains
        )
        found = check(expectation, [vars(identity) for identity in self.identities], times)
        return Identity(**found[0]) if found else None

    def emit_action(
        self,
        key: str,
        user_key: str,
        is_anonymous_user: bool = False,
        timestamp: datetime | str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """Record an action. See `DataArtClient.emit_action`; only hooks drop any.

        Raises:
            EventError: The event cannot be sent.
            ClosedError: The client is closed.
        """
        try:
            record = self._hooks.encode_action(
                key, user_key, is_anonymous_user, timestamp, metadata
            )
        except DroppedError as dropped:
            self._count_dropped(dropped)
            return False
        self._record(memoryview(record), 1)
        return True

    def emit_actions(self, actions: Iterable[Mapping[str, Any]]) -> Emitted:
        """Record many actions. See `DataArtClient.emit_actions`; only hooks drop any.

        Raises:
            ActionsError: Some actions cannot be sent; the other ones are recorded.
            ClosedError: The client is closed.
        """
        return self._bulk(actions).run()

    def _bulk(self, actions: Iterable[Mapping[str, Any]]) -> Bulk:
        self._refuse_if_closed()
        hooks = (self._hooks.encode_action, self._count_dropped)
        return Bulk(actions, _FRAME_RECORDS, self._record, _never_full, hooks=hooks)

    def emit_table(
        self,
        table: Any,
        *,
        key: "Choice | None" = None,
        user_key: "Choice | None" = None,
        timestamp: "Choice | datetime | None" = None,
        is_anonymous_user: "Choice | bool | None" = None,
        metadata: "Metadata | None" = None,
        timezone: str | tzinfo | None = None,
        progress: Progress | None = None,
    ) -> Emitted:
        """Record an action for each row of a table. See `Client.emit_table`.

        Raises:
            TableError: The table or an argument cannot be used; nothing was recorded.
            MissingExtraError: The package pyarrow is not installed.
            RowsError: Some rows cannot be sent; the other ones are recorded.
            ClosedError: The client is closed.
        """
        from dataart_mp.table.emission import emission_of

        self._refuse_if_closed()
        return emission_of(
            table,
            _FRAME_RECORDS,
            self._record,
            _never_full,
            progress,
            (self._hooks.encode_action, self._count_dropped)
            if self._hooks.are_configured or bound.is_used()
            else None,
            key=key,
            user_key=user_key,
            timestamp=timestamp,
            is_anonymous_user=is_anonymous_user,
            metadata=metadata,
            timezone=timezone,
        ).run()

    def identify(self, user_key: str, metadata: Mapping[str, Any] | None = None) -> bool:
        """Record an identity. Returns and raises as `emit_action` does."""
        try:
            record = self._hooks.encode_identity(user_key, metadata)
        except DroppedError as dropped:
            self._count_dropped(dropped)
            return False
        with self._lock:
            self._refuse_if_closed()
            self._check_size(len(record))
            self._identities.append(Identity(**json.loads(record)))
            self._bytes += len(record)
        return True

    def flush(self, timeout: float | None = None) -> int:
        """Return 0: nothing is ever pending.

        Raises:
            ClosedError: The client is closed.
            ValueError: The timeout is not a finite number of zero or more, and not None.
        """
        checked_timeout(timeout)
        self._refuse_if_closed()
        return 0

    def close(self, timeout: float | None = None) -> int:
        """Accept no more events, and return 0. Recorded events are kept.

        Raises:
            ValueError: As for `flush`.
        """
        checked_timeout(timeout)
        with self._lock:
            self._is_closed = True
        return 0

    def mark(self) -> "SettledMark":
        """Return a mark: nothing before it is ever pending.

        Raises:
            ClosedError: The client is closed.
        """
        with self._lock:
            self._refuse_if_closed()
            return SettledMark(self._dropped.total())

    def stats(self) -> Stats:
        """Return the counters: each recorded event counts as delivered."""
        with self._lock:
            count = len(self._actions) + len(self._identities)
            accepted = count + self._dropped.total()
            dropped = dict(self._dropped)
            return Stats(accepted=accepted, delivered=count, dropped=dropped, bytes=self._bytes)

    def health(self) -> Health:
        """Return the verdict of `Client.health`, which is always ok here."""
        return assess(self.stats())

    def clear(self) -> None:
        """Remove all recorded events; a closed client stays closed."""
        with self._lock:
            self._reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "open"
        counts = f"actions {len(self._actions)} | identities {len(self._identities)}"
        return f"<RecordingClient {state} | {counts}>"

    def _reset(self) -> None:
        self._actions: list[Action] = []
        self._identities: list[Identity] = []
        self._dropped: collections.Counter[str] = collections.Counter()
        self._bytes = 0

    def _count_dropped(self, dropped: DroppedError) -> None:
        with self._lock:
            self._refuse_if_closed()
            self._dropped[HOOK_REASONS[dropped.column]] += 1

    def _record(self, lines: memoryview, _count: int) -> Taken:
        """Record as many of some actions as fit into requests: at least the first one."""
        # No newline is inside a record, but metadata may hold other line breaks.
        records = bytes(lines).removesuffix(b"\n").split(b"\n")
        fitting = list(itertools.takewhile(self._fits, records))
        recorded = [_action(record) for record in fitting]
        size = sum(len(record) + 1 for record in fitting)
        with self._lock:
            self._refuse_if_closed()
            if not fitting:
                self._check_size(len(records[0]) + 1)
            self._actions += recorded
            self._bytes += size
        return Taken(len(fitting), size, room=0)

    def _fits(self, record: bytes) -> bool:
        return len(record) < self._capacity  # a newline is added

    def _check_size(self, size: int) -> None:
        if size > self._capacity:
            raise EventError(
                f"the event takes {size:,} bytes as JSON, and a request holds "
                f"{self._capacity:,}; shorten its metadata, or raise max_request_bytes"
            )

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise ClosedError


class AsyncSettledMark(SettledMark):
    """The mark of an `AsyncRecordingClient`."""

    async def settled(self, timeout: float | None = None) -> int:
        """Return 0 at once; see `SettledMark.wait`."""
        return self.wait(timeout)

    def __await__(self) -> Generator[None, None, Outcome]:
        yield from ()
        return self.outcome()


class AsyncRecordingClient:
    """An `AsyncDataArtClient` that records events in a `RecordingClient`, and sends nothing.

    Args:
        config: As for `RecordingClient`.
        max_request_bytes: As for `RecordingClient`.

    Attributes:
        recorded: The client that holds what was recorded, as `recorded.actions` for example.
    """

    def __init__(
        self, config: ClientConfig | None = None, *, max_request_bytes: int | None = None
    ) -> None:
        self.recorded = RecordingClient(config, max_request_bytes=max_request_bytes)

    @property
    def actions(self) -> list[Action]:
        """A copy of the recorded actions, oldest first."""
        return self.recorded.actions

    @property
    def identities(self) -> list[Identity]:
        """A copy of the recorded identities, oldest first."""
        return self.recorded.identities

    async def emit_action(
        self,
        key: str,
        user_key: str,
        is_anonymous_user: bool = False,
        timestamp: datetime | str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """Record an action; see `RecordingClient.emit_action`."""
        return self.recorded.emit_action(key, user_key, is_anonymous_user, timestamp, metadata)

    async def emit_actions(
        self,
        actions: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        *,
        progress: Progress | None = None,
    ) -> Emitted:
        """Record many actions; see `RecordingClient.emit_actions` and `AsyncClient.emit_actions`.

        Each action is recorded when it is read.
        """
        bulk = self.recorded._bulk(() if isinstance(actions, AsyncIterable) else actions)
        report = ProgressReport(progress, lambda: bulk.processed)
        with bulk.noting_refusals(), report.at_last():
            if not isinstance(actions, AsyncIterable):
                return bulk.run()
            async for action in actions:
                bulk.begin([action])
                bulk.append()
                report()
                if bulk.has_failed:
                    break
        return bulk.finish()

    async def emit_table(
        self,
        table: Any,
        *,
        key: "Choice | None" = None,
        user_key: "Choice | None" = None,
        timestamp: "Choice | datetime | None" = None,
        is_anonymous_user: "Choice | bool | None" = None,
        metadata: "Metadata | None" = None,
        timezone: str | tzinfo | None = None,
        progress: Progress | None = None,
    ) -> Emitted:
        """Record an action for each row of a table; see `RecordingClient.emit_table`."""
        return self.recorded.emit_table(
            table,
            key=key,
            user_key=user_key,
            timestamp=timestamp,
            is_anonymous_user=is_anonymous_user,
            metadata=metadata,
            timezone=timezone,
            progress=progress,
        )

    async def identify(self, user_key: str, metadata: Mapping[str, Any] | None = None) -> bool:
        """Record an identity; see `RecordingClient.identify`."""
        return self.recorded.identify(user_key, metadata)

    def mark(self) -> AsyncSettledMark:
        """Return a mark: nothing before it is ever pending; see `RecordingClient.mark`."""
        return AsyncSettledMark(self.recorded.mark().outcome().dropped)

    async def flush(self, timeout: float | None = None) -> int:
        """Return 0: nothing is ever pending; see `RecordingClient.flush`."""
        return self.recorded.flush(timeout)

    async def aclose(self, timeout: float | None = None) -> int:
        """Accept no more events, and return 0; see `RecordingClient.close`."""
        return self.recorded.close(timeout)

    def stats(self) -> Stats:
        """Return the counters: each recorded event counts as delivered."""
        return self.recorded.stats()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Async{repr(self.recorded)[1:]}"


def _action(line: bytes) -> Action:
    fields = json.loads(line)
    fields["timestamp"] = datetime.fromisoformat(fields["timestamp"])
    return Action(**fields)


def _never_full(full: queue.Full, count: int) -> NoReturn:
    raise AssertionError(f"a recording client is never full, but refused {count} records") from full
