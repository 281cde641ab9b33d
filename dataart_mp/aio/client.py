"""`AsyncClient`: the client for applications that run in an event loop."""

import asyncio
import contextlib
import functools
import os
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from concurrent.futures import Future
from datetime import datetime, tzinfo
from queue import Full
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from dataart_mp import clock
from dataart_mp.aio import helper
from dataart_mp.aio.bulk import Reader, groups_of
from dataart_mp.aio.eager_client import EagerClient, NotNowError
from dataart_mp.aio.mark import AsyncMark
from dataart_mp.aio.turn import STEP_SECONDS, Turn
from dataart_mp.aio.waiters import Waiters
from dataart_mp.config import ClientConfig
from dataart_mp.config.timeout import checked_timeout
from dataart_mp.errors import BufferFullError, ClosedError, DataArtError
from dataart_mp.health import Health
from dataart_mp.producer import bound
from dataart_mp.producer.bulk import Bulk
from dataart_mp.producer.encoder import encode_action, encode_identity
from dataart_mp.producer.hooks import Hooks
from dataart_mp.producer.progress import Progress, ProgressReport
from dataart_mp.protocol import Emitted
from dataart_mp.stats import Stats

if TYPE_CHECKING:
    from dataart_mp.table.arguments import Choice, Metadata
    from dataart_mp.table.emission import Emission

Result = TypeVar("Result")
Place = tuple[int, asyncio.AbstractEventLoop]
"""A process and an event loop in it."""

Append = Callable[[EagerClient, bytes], bool]
"""Appends an encoded record; raises NotNowError if there is no room."""


class AsyncClient:
    """Sends actions and identities to the platform, without ever blocking the event loop.

    It has the settings, the guarantees and the workers of `Client`. A call usually completes
    without suspending its task. If the buffer is full and `overflow` is `"block"`, the task is
    suspended until there is room, in the order of the calls. A call that is cancelled while it is
    suspended has emitted nothing.

    It may be used by several event loops in several threads, and after a fork.

    Args:
        config: The settings. The client itself is created by `async with`, or else by the first
            event.

    Raises:
        ConfigError: Not by the constructor, but by `async with` or the first event; as `Client`.
    """

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self._client: EagerClient | None = None
        self._is_closed = False
        self._waiters: dict[Place, Waiters] = {}
        self._lines: dict[Place, None] = {}  # the event loops in which tasks wait for room
        self._starts: dict[int, Future[EagerClient]] = {}
        self._emit_action: Callable[..., bool] = self._not_open

    # Events

    async def emit_action(
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
            metadata: Further data. It is encoded before the task may be suspended (with hooks, if
                the client is open).

        Returns:
            True, or False if the event was dropped (`overflow="drop"`, or by a hook).

        Raises:
            EventError: The event cannot be sent; other events are unaffected.
            BufferFullError: No frame is free, with `overflow="raise"` or after `block_timeout`;
                or no worker can be started.
            ClosedError: The client is closed.
        """
        if self._client is None and (bound.is_used() or self._has_hooks):
            await self._open()
        record: bytes | None
        if not self._lines:  # else other tasks are in line
            try:
                return self._emit_action(key, user_key, is_anonymous_user, timestamp, metadata)
            except NotNowError as error:
                record = error.record
        else:
            encode = encode_action if self._client is None else self._client.action
            record = encode(key, user_key, is_anonymous_user, timestamp, metadata)
            if record is None:
                return False
        client = self._client
        if client is None or client.writes_to_disk or not client.is_ready:
            return await self._in_turn(EagerClient.append_now, record)
        # As `_in_turn`, with half as many objects. In an outage, a server may have thousands of
        # suspended tasks, and the garbage collector visits all objects of each.
        attempt = functools.partial(client.append_now, record)
        try:
            return await self._waiters_here().in_turn(attempt, client.config.block_timeout)
        except Full as full:
            return client.refuse(full)

    def emit_action_nowait(
        self,
        key: str,
        user_key: str,
        is_anonymous_user: bool = False,
        timestamp: datetime | str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """Emit an action where nothing can be awaited: if there is no room, it is dropped.

        It is for handlers of log records, callbacks and `__del__`, whatever `overflow` is. It does
        not wait for the tasks that are in line. With `spool_sync="batch"`, it may write to the
        disk.

        Args:
            key: As for `emit_action`.
            user_key: As for `emit_action`.
            is_anonymous_user: As for `emit_action`.
            timestamp: As for `emit_action`.
            metadata: As for `emit_action`.

        Returns:
            True, or False if the event was dropped: `stats().dropped` says why.

        Raises:
            DataArtError: The client is not open yet.
            EventError, ClosedError: As for `emit_action`.
        """
        if self._client is None:
            self._check_open()
            raise DataArtError(
                "the client is not open yet; use `async with AsyncClient(config) as client`, or "
                "await an event before"
            )
        return self._client.emit_action_nowait(
            key, user_key, is_anonymous_user, timestamp, metadata
        )

    async def emit_actions(
        self,
        actions: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        *,
        progress: Progress | None = None,
    ) -> Emitted:
        """Emit many actions in one call, at a lower cost for each. Other tasks run meanwhile.

        Args:
            actions: Mappings of the arguments of `emit_action`, by name. They are read and emitted
                in small groups, so the iterable may be a generator, also an infinite one. While
                the buffer is full, none is read. What was read from an async iterable is emitted
                before that suspends.
            progress: Called with the number of actions that are processed, that is, accepted or
                refused: the first ones of all. It is called after each group, and also when the
                call is cancelled or raises, so that its last argument is always exact.

        Returns:
            The number of accepted events, and how many of them were dropped (`overflow="drop"`,
            or by a hook).

        Raises:
            ActionsError: Some actions cannot be sent; as for `Client.emit_actions`.
            BufferFullError: As for `emit_action`. It holds the number of actions accepted before,
                and those that were read but not accepted (`rest`).
            ClosedError: The client is closed.
            Exception: The iterable raised it. All actions read before it are accepted.
        """
        client = await self._opened()
        bulk = client.bulk(() if isinstance(actions, AsyncIterable) else actions)
        report = ProgressReport(progress, lambda: bulk.processed)
        with bulk.noting_refusals(), report.at_last():
            if isinstance(actions, AsyncIterable):
                await self._emit_async(client, bulk, actions, report)
            else:
                await self._emit_iterable(client, bulk, report)
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
        """Emit an action for each row of a table; see `Client.emit_table`.

        Other tasks run meanwhile: rows are read and encoded on another thread, a few thousand at a
        time. Each is appended as a whole, so a call that is cancelled has emitted a beginning of
        the rows.

        Args:
            table: As for `Client.emit_table`, as all others. It is read on other threads.
            key: Name of the action.
            user_key: Key of the user.
            timestamp: Time of the action.
            is_anonymous_user: Whether `user_key` stands for an unknown user.
            metadata: Further data.
            timezone: Zone of timestamps that have none.
            progress: Called in the event loop with the number of rows that are processed, that is,
                accepted or refused: the first ones of the table. It is called after each few
                thousand, and also when the call is cancelled or raises, so that its last argument
                is always exact. `table.slice` continues from there.

        Returns:
            The number of accepted events, and how many of them were dropped.

        Raises:
            TableError, MissingExtraError, RowsError, BufferFullError, ClosedError: As for
                `Client.emit_table`.
        """
        client = await self._opened()
        emission = await helper.call(
            lambda: client.emission(
                table,
                progress=progress,
                key=key,
                user_key=user_key,
                timestamp=timestamp,
                is_anonymous_user=is_anonymous_user,
                metadata=metadata,
                timezone=timezone,
            )
        )
        report = ProgressReport(progress, lambda: emission.row)
        with emission.noting_refusals(), report.at_last():
            while (batch := await helper.call(emission.read)) is not None:
                emission.begin(batch)
                while await self._append_or_refuse(client, lambda: _step_for_a_while(emission)):
                    await asyncio.sleep(0)
                report()
        return emission.finish()

    async def identify(self, user_key: str, metadata: Mapping[str, Any] | None = None) -> bool:
        """Emit an identity: who a user is. It is sent at once, in a separate request.

        Args:
            user_key: Key of the user; non-empty.
            metadata: Data about the user.

        Returns:
            True, or False if the identity was dropped (`overflow="drop"`, or by `before_send`).

        Raises:
            EventError, BufferFullError, ClosedError: As for `emit_action`.
        """
        if self._client is None and (bound.is_used() or self._has_hooks):
            await self._open()
        encode = encode_identity if self._client is None else self._client.identity
        record = encode(user_key, metadata)
        if record is None:
            return False
        return await self._in_turn(EagerClient.append_alone_now, record)

    # Marks, flush and close

    def mark(self) -> AsyncMark:
        """Return a mark, which says what became of all that this process emitted before the call.

        It waits for nothing, so there is nothing to await here; see `Client.mark`. `await` the
        mark itself, or its `settled(timeout)`.

        Raises:
            ClosedError: The client is closed. A mark that was made before can still be asked.
        """
        if self._client is None:
            self._check_open()
            return AsyncMark(None, self._waiters_here)
        return AsyncMark(self._client.mark(), self._waiters_here)

    async def flush(self, timeout: float | None = None) -> int:
        """Wait until all events that this process emitted before the call are settled.

        Args:
            timeout: Seconds; None waits without a limit, unless no worker can be started.

        Returns:
            The number of records that are still pending; 0 means that all are settled. Settled
            records may be rejected or failed: see `stats()`.

        Raises:
            ClosedError: The client is closed.
            ValueError: The timeout is not a finite number of zero or more, and not None.
        """
        seconds = checked_timeout(timeout)
        client = self._client
        if client is None:
            self._check_open()
            return 0
        mark = self.mark()
        await helper.call(client.retry_now)
        return await mark.settled(seconds)

    async def aclose(self, timeout: float | None = None) -> int:
        """Flush, and accept no more events. A second call has no effect and returns the same.

        Tasks that are suspended raise ClosedError.

        Args:
            timeout: As for `flush`. Ending threads and workers may take some seconds more.

        Returns:
            As for `flush`.

        Raises:
            ValueError: As for `flush`.
        """
        seconds = checked_timeout(timeout)
        self._is_closed = True
        client = self._client
        if client is None:
            self._emit_action = self._not_open
            return 0
        with contextlib.suppress(ClosedError):  # it was closed before, perhaps by another thread
            await self.flush(seconds)
        return await helper.call(lambda: client.close(0))

    def stats(self) -> Stats:
        """Return a snapshot of the counters, over all processes; after `aclose`, the last one."""
        return Stats() if self._client is None else self._client.stats()

    def health(self) -> Health:
        """Return a verdict on `stats()`; see `Client.health`."""
        return Health("ok") if self._client is None else self._client.health()

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        if self._client is None:
            return f"<AsyncClient {'closed' if self._is_closed else 'not open yet'}>"
        return repr(self._client).replace("EagerClient", "AsyncClient", 1)

    # Starting

    def _not_open(
        self,
        key: str,
        user_key: str,
        is_anonymous_user: bool,
        timestamp: datetime | str | None,
        metadata: Mapping[str, Any] | None,
    ) -> bool:
        """Stand in for the client's `emit_action` until it is open."""
        self._check_open()
        record = encode_action(key, user_key, is_anonymous_user, timestamp, metadata)
        raise NotNowError(record)

    @functools.cached_property
    def _has_hooks(self) -> bool:
        """Whether the settings name hooks: then only the client, when it is open, can encode."""
        return Hooks(self.config).are_configured

    def _check_open(self) -> None:
        if self._is_closed:
            raise ClosedError("the client is closed; emit before aclose(), or create another one")

    async def _opened(self) -> EagerClient:
        """Return the client, as `_open`.

        Raises:
            BufferFullError: No worker can be started.
        """
        try:
            return await self._open()
        except Full as full:
            raise BufferFullError(f"no worker can deliver events: {full}") from full

    async def _open(self) -> EagerClient:
        """Return the client when it has workers in this process; create it on another thread."""
        client = self._client
        if client is not None and client.is_ready:
            return client
        self._check_open()
        pid = os.getpid()
        mine: Future[EagerClient] | None = None
        start = self._starts.get(pid)
        if start is None:
            mine = Future()
            start = self._starts.setdefault(pid, mine)
        if start is mine:
            begun = helper.begin(self._start)
            begun.add_done_callback(lambda done: self._started(pid, done, start))
        return await helper.result_of(start)

    def _start(self) -> EagerClient:
        if self._client is None:
            self._client = EagerClient(self.config)
            self._emit_action = self._client.emit_action
        self._client.start()
        return self._client

    def _started(self, pid: int, done: "Future[EagerClient]", start: "Future[EagerClient]") -> None:
        self._starts.pop(pid, None)  # the next call may start again, if this failed or after a fork
        error = done.exception()
        if error is None:
            start.set_result(done.result())
        else:
            start.set_exception(error)

    # Waiting

    def _waiters_here(self) -> Waiters:
        """Return the waiters of the running event loop."""
        place = (os.getpid(), asyncio.get_running_loop())
        for other in [each for each in self._waiters if each[0] != place[0]]:
            self._end_waiters(other)  # of the parent's event loops, which a fork has copied
        waiters = self._waiters.get(place)
        if waiters is None:
            client = self._client
            if client is None:
                raise ClosedError("the client was never open")
            waiters = Waiters(
                place[1],
                client.wait_for_room(),
                began_line=lambda: self._lines.setdefault(place),
                ended_line=lambda: self._lines.pop(place, None),
                ended=lambda: self._end_waiters(place),
            )
            self._waiters[place] = waiters
        return waiters

    def _end_waiters(self, place: Place) -> None:
        self._waiters.pop(place, None)
        self._lines.pop(place, None)

    async def _in_turn(self, append: Append, record: bytes) -> bool:
        """Append a record when it is this task's turn, and there is room."""
        try:
            client = await self._open()
        except Full as full:  # no worker can be started
            if self._client is None:
                raise
            return self._client.refuse(full)
        try:
            return await self._append(client, functools.partial(append, client, record))
        except Full as full:
            return client.refuse(full)

    async def _emit_iterable(self, client: EagerClient, bulk: Bulk, report: ProgressReport) -> None:
        reader, turn = Reader(bulk, client.room), Turn()
        while not reader.is_over():
            if client.writes_to_disk:  # another thread appends, but the iterable is read here
                if not bulk.has_rest:
                    reader.read(await self._room(client))
                await self._append_or_refuse(client, bulk.append)
            else:
                await self._append_or_refuse(client, reader.append_next)
            report()
            await turn.end_if_long()

    async def _emit_async(
        self,
        client: EagerClient,
        bulk: Bulk,
        actions: AsyncIterable[Mapping[str, Any]],
        report: ProgressReport,
    ) -> None:
        def ready(group: list[Mapping[str, Any]]) -> None:
            if group and not self._lines and not client.writes_to_disk:
                bulk.begin(group.copy())
                group.clear()
                try:
                    bulk.append()
                except (NotNowError, BufferFullError):  # it is tried again with the next group
                    group.extend(bulk.withdraw())

        turn = Turn()
        async for group in groups_of(actions, lambda: self._room(client), ready):
            bulk.begin(group)
            await self._append_or_refuse(client, bulk.append)
            report()
            if bulk.has_failed:
                break
            await turn.end_if_long()

    async def _room(self, client: EagerClient) -> int:
        """Return for how many actions there is room, when there is some.

        Raises:
            BufferFullError: As for `emit_action`.
        """

        def attempt() -> int:
            room = client.room()
            if not room:
                raise NotNowError
            return room

        if not self._lines:
            with contextlib.suppress(NotNowError):
                return attempt()
        try:
            return await self._waiters_here().in_turn(attempt, client.config.block_timeout)
        except Full as full:
            client.refuse(full)
            raise

    async def _append_or_refuse(self, client: EagerClient, attempt: Callable[[], Result]) -> Result:
        """Do what `_append` does.

        Raises:
            BufferFullError: As for `emit_action`.
        """
        try:
            return await self._append(client, attempt)
        except Full as full:
            client.refuse(full)  # it raises, as a call that waits drops nothing
            raise

    async def _append(self, client: EagerClient, attempt: Callable[[], Result]) -> Result:
        """Make an attempt when it is this task's turn, until there is room.

        Raises:
            Full: `block_timeout` is over, or no worker can run.
        """
        deadline = None
        if client.config.block_timeout is not None:
            deadline = clock.monotonic() + client.config.block_timeout
        while True:
            if not self._lines:
                with contextlib.suppress(NotNowError):
                    return await helper.complete(attempt) if client.writes_to_disk else attempt()
            left = None if deadline is None else max(0.0, deadline - clock.monotonic())
            if not client.writes_to_disk:
                return await self._waiters_here().in_turn(attempt, left)
            await self._waiters_here().in_turn(_after_one_wakeup(), left)


def _step_for_a_while(emission: "Emission") -> bool:
    """Append rows for a millisecond; return whether there are more."""
    started = clock.monotonic()
    while emission.step():
        if clock.monotonic() - started > STEP_SECONDS:
            return True
    return False


def _after_one_wakeup() -> Callable[[], None]:
    """Return an attempt that fails once, so that its task waits for a notification."""
    remaining = [None]

    def attempt() -> None:
        if remaining:
            remaining.clear()
            raise NotNowError

    return attempt
