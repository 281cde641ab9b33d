"""The client: the object that an application holds.

    emit_action ─ encode ─► append ═ shared memory ═ claim ─► batch ─► send ─► settle
    (this module)  producer/encoder   queue/            worker/

It connects the encoder, the queue and the engine; the only decision it makes itself is what happens
when the buffer is full. A client may be used by several threads, forked, and passed to a child
process.
"""

import atexit
import logging
import os
import pickle
import queue
import warnings
import weakref
from collections.abc import Iterable, Mapping
from datetime import datetime, tzinfo
from multiprocessing import context
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from dataart_mp import clock, native
from dataart_mp.config import ClientConfig
from dataart_mp.config.timeout import checked_timeout
from dataart_mp.errors import BufferFullError, ClosedError, ConfigError, short_repr
from dataart_mp.health import SLOW_SECONDS, Health, assess
from dataart_mp.producer import bound
from dataart_mp.producer.bulk import Bulk, Count, Drop, Encode, Take
from dataart_mp.producer.encoder import encode_action, encode_identity
from dataart_mp.producer.engine import REAP_SECONDS, Engine
from dataart_mp.producer.hooks import DroppedError, Hooks
from dataart_mp.producer.log_throttle import LogThrottle, Occurrences
from dataart_mp.producer.progress import Progress
from dataart_mp.protocol import Emitted
from dataart_mp.queue import AbandonedError
from dataart_mp.queue.counters import DROPPED_FULL
from dataart_mp.queue.deadline import Deadline
from dataart_mp.queue.frame_writer import Taken
from dataart_mp.queue.mark import Mark
from dataart_mp.stats import Stats
from dataart_mp.transport import envelope
from dataart_mp.transport.proxy import proxy_for

if TYPE_CHECKING:
    from dataart_mp.table.arguments import Choice, Metadata
    from dataart_mp.table.emission import Emission

_log = logging.getLogger("dataart_mp")

_LOG_INTERVAL_SECONDS: Final = 30.0
FULL: Final = queue.Full()
"""Passed on when a full buffer drops records: nobody raises it, so one object is enough."""


class Client:
    """Sends actions and identities to the platform, through worker processes that it starts.

    It starts nothing before the first event. An event for which a call returned True outlives this
    process: it is delivered at least once, or `stats()` counts why not.

    Args:
        config: The settings, such as the API key and the URL of the platform.

    Raises:
        ConfigError: The argument is not a `ClientConfig`; or there is no Python interpreter to run
            workers; or the directory of the spool, or the proxy that the environment names, cannot
            be used; or a limit of the system is reached; or eventlet has patched this process. The
            client leaves nothing behind then.

    Warns:
        UserWarning: The API key is sent unencrypted, over http to another machine.
    """

    def __init__(self, config: ClientConfig) -> None:
        _check_type(config)
        if config.travels_in_the_clear:
            warnings.warn(
                f"base_url={config.base_url!r}: the api_key and all events are sent unencrypted; "
                "use https",
                stacklevel=2,
            )
        config.read_api_key()  # else an error would first occur in workers
        if config.pool_factory is None:
            proxy_for(config.base_url, config.http)  # else an error would first occur in workers
        hooks = Hooks(config)
        capacity = config.max_request_bytes - envelope.MAX_BYTES
        self._assemble(config, hooks, Engine.create(config, capacity), creator=os.getpid())

    def _assemble(self, config: ClientConfig, hooks: Hooks, engine: Engine, creator: int) -> None:
        self.config = config
        self._hooks = hooks
        self._has_hooks = False
        self._encode_action, self._encode_identity = encode_action, encode_identity
        self._engine = engine
        self._queue = engine.queue
        self._producer = engine.queue.producer
        self._appender = engine.queue.producer.appender
        self._creator = creator
        self._timeout = config.block_timeout if config.overflow == "block" else 0.0
        self._drops_when_full = config.overflow == "drop"
        self._drop_throttle = LogThrottle(_LOG_INTERVAL_SECONDS)
        self._pending_at_close: int | None = None
        self._close_permit: list[None] = [None]
        self._last_stats = Stats()
        # If a client is garbage-collected without `close`, workers deliver its records.
        self._finalizer = weakref.finalize(self, engine.stop, wait=False)
        self._finalizer.atexit = False
        _clients.add(self)
        if hooks.are_configured or bound.is_used():
            self._use_hooks()

    def _use_hooks(self) -> None:
        """Have each event pass the hooks from now on; without them, no call looks for them."""
        self._has_hooks = True
        if self._appender is not None:
            self._hooks.emit = self._appender.emit_actions
            self._appender = None  # C leaves all calls to Python
        self._encode_action = self._hooks.encode_action
        self._encode_identity = self._hooks.encode_identity

    # Events

    @native.emit_action
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
            metadata: Further data; see the README for the supported types.

        Returns:
            True, or False if the event was dropped (`overflow="drop"`, or by a hook).

        Raises:
            EventError: The event cannot be sent; other events are unaffected.
            BufferFullError: No frame is free, with `overflow="raise"` or after `block_timeout`;
                or no worker can be started.
            ClosedError: The client is closed.
        """
        try:
            encode = self._encode_action  # calling an attribute of self directly takes longer
            record = encode(key, user_key, is_anonymous_user, timestamp, metadata)
        except DroppedError as dropped:
            self._count_dropped(dropped)
            return False
        return self._append_record(record) if record else True

    def emit_action_nowait(
        self,
        key: str,
        user_key: str,
        is_anonymous_user: bool = False,
        timestamp: datetime | str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """Emit an action without ever waiting for room: if no frame is free, it is dropped.

        It is for code that must not block, such as handlers of log records and of signals,
        whatever `overflow` is.

        Args:
            key: As for `emit_action`.
            user_key: As for `emit_action`.
            is_anonymous_user: As for `emit_action`.
            timestamp: As for `emit_action`.
            metadata: As for `emit_action`.

        Returns:
            True, or False if the event was dropped: `stats().dropped` says why.

        Raises:
            EventError, ClosedError: As for `emit_action`.
        """
        try:
            encode = self._encode_action
            record = encode(key, user_key, is_anonymous_user, timestamp, metadata)
            if record:
                self._producer.append(record, 0.0)
        except queue.Full:
            self._count_full(1)
            return False
        except DroppedError as dropped:
            self._count_dropped(dropped)
            return False
        return True

    def emit_actions(self, actions: Iterable[Mapping[str, Any]]) -> Emitted:
        """Emit many actions in one call, at a lower cost for each.

        Args:
            actions: Mappings of the arguments of `emit_action`, by name. A dict with all five, in
                their order, costs least. They are read and emitted in groups of at most 256, or of
                those that arrive within 10 ms, so the iterable may be a generator, also an
                infinite one. No other thread may use it during the call.

        Returns:
            The number of accepted events, and how many of them were dropped (`overflow="drop"`,
            or by a hook).

        Raises:
            ActionsError: Some actions cannot be sent; it names each by its number and path, such
                as `actions[3].metadata.price`. It is raised at the end, when all other actions are
                accepted, or after a hundred were refused.
            BufferFullError: As for `emit_action`. It holds the number of actions accepted before,
                and those that were read but not accepted (`rest`).
            ClosedError: The client is closed.
            Exception: The iterable raised it. All actions read before it are accepted.
        """
        self._queue.check_open()
        return self._bulk(actions, self._append_lines, self._drop).run()

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
        """Emit an action for each row of a table, several times as fast as one by one.

        In each argument, a string is the name of a column, and `dataart_mp.lit(VALUE)` is a value
        that is the same in all rows. See docs/tables.md for the types of columns.

        Args:
            table: A DataFrame of pandas or polars, a relation of DuckDB, a table of pyarrow, or
                whatever else has `__arrow_c_stream__`. It needs pyarrow, the extra `arrow`. Its
                rows are read and emitted a few thousand at a time.
            key: Name of the action: text or integers. None is the column `key`.
            user_key: Key of the user: text or integers. None is the column `user_key`.
            timestamp: Time of the action: timestamps, or RFC 3339 text with an offset. None is the
                column `timestamp` or, if there is none, now.
            is_anonymous_user: Whether `user_key` stands for an unknown user; null is False. None is
                the column of that name or, if there is none, False.
            metadata: A list of columns, or a dict of columns and constants by their names in the
                event. None is all other columns. A null stays in the event as null.
            timezone: Zone of timestamps that have none, such as "UTC"; None is local time, as for
                `emit_action`.
            progress: Called with the number of processed rows, after each few thousand.

        Returns:
            The number of accepted events, and how many of them were dropped (`overflow="drop"`,
            or by a hook). With hooks, rows are emitted one by one.

        Raises:
            TableError: The table or an argument cannot be used; nothing was emitted.
            MissingExtraError: The package pyarrow is not installed.
            RowsError: Some rows cannot be sent; it names each by its number and column. It is
                raised at the end, when all other rows are accepted.
            BufferFullError: As for `emit_action`. It holds the first row that was not processed
                (`row`), and the number of rows accepted before.
            ClosedError: The client is closed.
        """
        return self._emission(
            table,
            self._append_lines,
            self._drop,
            progress=progress,
            key=key,
            user_key=user_key,
            timestamp=timestamp,
            is_anonymous_user=is_anonymous_user,
            metadata=metadata,
            timezone=timezone,
        ).run()

    def identify(self, user_key: str, metadata: Mapping[str, Any] | None = None) -> bool:
        """Emit an identity: who a user is. It is sent at once, in a separate request.

        Args:
            user_key: Key of the user; non-empty.
            metadata: Data about the user.

        Returns:
            True, or False if the identity was dropped (`overflow="drop"`, or by `before_send`).

        Raises:
            EventError, BufferFullError, ClosedError: As for `emit_action`.
        """
        try:
            record = self._encode_identity(user_key, metadata)
        except DroppedError as dropped:
            self._count_dropped(dropped)
            return False
        return self._append_alone(record)

    # Flush and close

    def flush(self, timeout: float | None = None) -> int:
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
        self._engine.ensure_reports_read()
        return self._producer.flush(seconds)

    def close(self, timeout: float | None = None) -> int:
        """Flush, and accept no more events. A second call has no effect and returns the same.

        In the process that created the client, this closes it for all processes, and also waits for
        what the others have handed over; the workers end when they have delivered the remaining
        records. In another process, it closes the client for that process only.

        Args:
            timeout: As for `flush`. Ending threads and workers may take some seconds more.

        Returns:
            The number of records that are still pending; 0 means that all are settled. In the
            process that created the client it is `stats().pending`, of all processes; in another
            one, it counts the records of that process, as `flush` does.

        Raises:
            ValueError: As for `flush`. Nothing else: a problem while closing is logged.
        """
        timeout = checked_timeout(timeout)
        before = self._pending_at_close
        if before is not None:
            return before
        deadline = Deadline(timeout)
        try:
            pending = self.flush(timeout)
        except ClosedError:  # another thread or a signal handler has closed it meanwhile
            before = self._pending_at_close
            if before is None:
                raise
            return before
        try:
            self._close_permit.pop()  # atomic: one of several concurrent calls closes
        except IndexError:
            return pending
        try:
            return self._close(pending, deadline)
        finally:
            if self._pending_at_close is None:  # interrupted: the next call may close
                self._close_permit.append(None)

    def mark(self) -> Mark:
        """Return a mark, which says what became of all that this process emitted before the call.

        It costs a few microseconds, whatever is pending: it sends nothing and waits for nothing. So
        a consumer of a stream may make one for each message or thousand messages, and acknowledge
        them when nothing is pending.

        Raises:
            ClosedError: The client is closed. A mark that was made before can still be asked.
        """
        return self._queue.mark()

    def stats(self) -> Stats:
        """Return a snapshot of the counters, over all processes; after `close`, the last one."""
        return self._last_stats if self._pending_at_close is not None else self._queue.stats()

    def health(self) -> Health:
        """Return a verdict on `stats()`: ok, degraded or failing, and why.

        A record may be pending for a minute, in addition to `flush_interval`, before the client
        counts as degraded.
        """
        return assess(self.stats(), slow_seconds=SLOW_SECONDS + self.config.flush_interval)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        """Show the state and the main counters, and each count of records that may be lost."""
        stats = self.stats()
        counts = [
            f"accepted {stats.accepted}",
            f"delivered {stats.delivered}",
            f"pending {stats.pending}",
        ]
        losses = {
            "failed": stats.failed,
            "dropped": stats.total_dropped,
            "rejected": stats.rejected,
            "parked": stats.parked,
        }
        counts += [f"{name} {count}" for name, count in losses.items() if count]
        state = "open" if self._pending_at_close is None else "closed"
        return f"<Client {state} | {' | '.join(counts)}>"

    # Processes

    def __getstate__(self) -> Any:
        context.assert_spawning(self)  # by inheritance only, as every multiprocessing.Queue
        _check_hooks_can_be_pickled(self.config)
        return self.config.without_callbacks(), self._engine.descriptors(), self._creator

    def __setstate__(self, state: Any) -> None:
        config, descriptors, creator = state
        self._assemble(config, Hooks(config), Engine.inherit(config, descriptors), creator)

    def _close(self, pending: int, deadline: Deadline) -> int:
        is_creator = os.getpid() == self._creator
        if is_creator:
            self._queue.arena.close_permanently()
            self._producer.flush_others(deadline.left())
        self._producer.seal()
        self._last_stats = self._queue.stats()
        if is_creator:
            pending = self._last_stats.pending
        self._pending_at_close = pending
        self._engine.stop(wait=pending == 0)
        self._finalizer.detach()  # last: if this call is interrupted, the collector completes it
        self._log_drops(self._drop_throttle.remaining(clock.monotonic()))
        self._hooks.log_remaining()
        return pending

    def _append_record(self, record: bytes) -> bool:
        """Append an action; C calls this, too, if it has encoded one and could not append it."""
        if self._timeout == 0.0 and self._producer.is_full:
            # Half the time that raising and catching another exception takes.
            self._drop(FULL if self._drops_when_full else self._producer.full_error())
            return False
        try:
            self._producer.append(record, self._timeout)
        except queue.Full as full:
            self._drop(full)
            return False
        return True

    def _append_alone(self, record: bytes) -> bool:
        """Append an identity."""
        try:
            self._producer.append_alone(record, self._timeout)
        except queue.Full as full:
            self._drop(full)
            return False
        return True

    def _bulk(self, actions: Iterable[Mapping[str, Any]], take: Take, drop: Drop) -> Bulk:
        """Return a call of `emit_actions`; for `take` and `drop`, see `Bulk`."""
        emit = None if self._appender is None else self._appender.emit_actions
        portion = self.config.flush_actions_batch_size
        return Bulk(actions, portion, take, drop, emit, self._hooks_of_a_call())

    def _emission(self, table: object, take: Take, drop: Drop, **arguments: Any) -> "Emission":
        """Return a call of `emit_table`; for the arguments, see `emission_of`."""
        # Imported here: few applications have tables.
        from dataart_mp.table.emission import emission_of

        self._queue.check_open()
        portion, hooks = self.config.flush_actions_batch_size, self._hooks_of_a_call()
        return emission_of(table, portion, take, drop, hooks=hooks, **arguments)

    def _hooks_of_a_call(self) -> tuple[Encode, Count] | None:
        """Return what encodes each action of a call that emits many, and what counts dropped ones.

        None if there are no hooks.
        """
        return (self._encode_action, self._count_dropped) if self._has_hooks else None

    def _append_lines(self, lines: memoryview, count: int) -> Taken:
        """Append at least the first of some records; see `ProducerEnd.append_lines`."""
        return self._producer.append_lines(lines, count, self._timeout)

    def _drop(self, full: queue.Full, count: int = 1) -> None:
        """Drop `count` records for which no frame is free, or raise BufferFullError."""
        if self._drops_when_full:
            self._count_full(count)
            return
        if isinstance(full, AbandonedError):
            raise BufferFullError(f"no worker can deliver events: {full}")
        raise BufferFullError(
            f"all {self.config.flush_buffer_size:,} frames are in use: events arrive faster than "
            "the platform accepts them; raise flush_buffer_size or block_timeout, or set overflow"
        )

    def _count_full(self, count: int) -> None:
        self._queue.counters.add(DROPPED_FULL, count)
        self._log_drops(self._drop_throttle.count(count, clock.monotonic()))

    def _count_dropped(self, dropped: DroppedError) -> None:
        self._queue.count_dropped(dropped.column)

    def _log_drops(self, drops: Occurrences) -> None:
        if drops:
            _log.error("%s: buffer full", drops.describe("record", "dropped"))

    def _at_exit(self, started: float) -> None:
        """Let workers deliver for up to `exit_timeout`; after that they continue on their own."""
        if self._pending_at_close is not None:
            return
        self._log_drops(self._drop_throttle.remaining(clock.monotonic()))
        self._hooks.log_remaining()
        if os.getpid() == self._creator:
            waited = clock.monotonic() - started  # for other clients: the timeout is for all
            self._producer.flush(max(0.0, self.config.exit_timeout - waited))
        else:
            self._producer.seal()
        self._engine.ensure_worker_remains()


def _check_hooks_can_be_pickled(config: ClientConfig) -> None:
    """Refuse hooks that a spawned process cannot get: without them, it would send too much."""
    for name in ("before_send", "default_metadata"):
        hook = getattr(config, name)
        try:
            pickle.dumps(hook)
        except Exception as error:
            shown = short_repr(hook)
            problem = "cannot be passed to a spawned process; define it at the top of a module"
            raise ConfigError(f"{name}={shown}: {problem}", name, shown) from error


def _check_type(config: object) -> None:
    if isinstance(config, ClientConfig):
        return
    # Its value is not shown, because it is probably the API key.
    given = f"the class {config.__name__}" if isinstance(config, type) else type(config).__name__
    raise ConfigError(
        f"config: must be a ClientConfig, not {given}; use Client(ClientConfig(api_key=…)), or "
        "Client(ClientConfig.from_env()), which reads DATAART_API_KEY"
    )


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


@bound.when_first_used
def _use_hooks() -> None:
    for client in list(_clients):
        client._use_hooks()


@atexit.register
def _at_exit() -> None:
    # This does not close the clients: later exit handlers, and finalizers, may still emit.
    started = clock.monotonic()
    clients = list(_clients)
    for client in clients:
        client._at_exit(started)
    deadline = clock.monotonic() + REAP_SECONDS
    for client in clients:
        client._engine.reap(max(0.0, deadline - clock.monotonic()))
