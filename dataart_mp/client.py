"""The client: what an application holds.

    emit_action ─ encode ─► append ═ shared memory ═ claim ─► batch ─► send ─► settle
    (this module)  producer/encoder   queue/            worker/

The client puts the parts together and decides nothing else than what happens when the buffer is
full. A client may be shared by threads, forked, and handed to a child process.
"""

import atexit
import functools
import logging
import os
import queue
import time
import warnings
import weakref
from collections.abc import Iterable, Mapping
from datetime import datetime
from multiprocessing import context
from types import TracebackType
from typing import Any, Final, Self

from dataart_mp.config import ClientConfig
from dataart_mp.errors import BufferFullError, ClosedError
from dataart_mp.producer.bulk import Bulk
from dataart_mp.producer.encoder import encode_action, encode_identity
from dataart_mp.producer.engine import Engine
from dataart_mp.producer.log_throttle import Count, LogThrottle
from dataart_mp.protocol import Emitted
from dataart_mp.queue import AbandonedError
from dataart_mp.queue.counters import DROPPED_FULL
from dataart_mp.stats import Stats
from dataart_mp.transport import envelope
from dataart_mp.transport.proxy import proxy_for

_log = logging.getLogger("dataart_mp")

_TELL_SECONDS: Final = 30.0


class Client:
    """Ships actions and identities to the platform, through worker processes of its own.

    Nothing is started before the first event. An event for which a call returned True outlives
    this process; it is delivered at least once, or stands by name in `stats()`.

    Args:
        config: where to, with which key and how.

    Raises:
        ConfigError: there is no Python interpreter for workers to run in, or the directory of the
            spool, or the proxy that the environment names, cannot be used.

    Warns:
        UserWarning: the key travels unencrypted, by http to another machine.
    """

    def __init__(self, config: ClientConfig) -> None:
        if config.travels_in_the_clear:
            warnings.warn(
                f"base_url={config.base_url!r}: the api_key and all events travel unencrypted; "
                "use https",
                stacklevel=2,
            )
        if config.pool_factory is None:
            proxy_for(config.base_url, config.http)  # or no worker could start, and tell so late
        capacity = config.max_request_bytes - envelope.MAX_BYTES
        self._assemble(config, Engine.make(config, capacity), maker=os.getpid())

    def _assemble(self, config: ClientConfig, engine: Engine, maker: int) -> None:
        self.config = config
        self._engine = engine
        self._queue = engine.queue
        self._maker = maker
        self._patience = config.block_timeout if config.overflow == "block" else 0.0
        self._drops_what_is_too_much = config.overflow == "drop"
        self._drops = LogThrottle(_TELL_SECONDS)
        self._left: int | None = None
        self._to_close: list[None] = [None]
        self._last_stats = Stats()
        # A client that is forgotten without `close` leaves its records to the workers.
        self._abandon = weakref.finalize(self, engine.stop, wait=False)
        self._abandon.atexit = False
        _clients.add(self)

    # Events

    def emit_action(
        self,
        key: str,
        user_key: str,
        is_anonymous_user: bool = False,
        timestamp: datetime | str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """Emit what a user did.

        Args:
            key: what was done; non-empty.
            user_key: who did it; non-empty.
            is_anonymous_user: whether `user_key` stands for somebody who is not known.
            timestamp: when; None is now, a naive datetime is local time, a string is RFC 3339.
            metadata: whatever describes it; see the README for the types.

        Returns:
            True, or False when it was dropped (`overflow="drop"`).

        Raises:
            EventError: the event cannot be sent as it is. Nothing else is harmed.
            BufferFullError: no room, with `overflow="raise"`, after `block_timeout`, or when no
                worker can be started.
            ClosedError: the client is closed.
        """
        record = encode_action(key, user_key, is_anonymous_user, timestamp, metadata)
        try:
            self._queue.producer.append(record, self._patience)
        except queue.Full as full:
            self._overflow(full)
            return False
        return True

    def emit_actions(self, actions: Iterable[Mapping[str, Any]]) -> Emitted:
        """Emit what users did: many actions, at a lower price for each.

        Args:
            actions: for each action the arguments of `emit_action`, by name. A dict with all five,
                in their order, costs least. They are drawn and put in groups, of 256 at most, or
                of what came in a hundredth of a second; so it may be a generator, and an endless
                one. It may not be used by another thread meanwhile.

        Returns:
            How many were accepted, and how many dropped (`overflow="drop"`).

        Raises:
            ActionsError: some cannot be sent as they are; it names them all, by their number
                and path, such as `actions[3].metadata.price`. It is raised at the end, when all
                others are accepted, or when a hundred were refused.
            BufferFullError: as `emit_action`. It says how many were accepted before; what was
                drawn and not accepted is its `rest`.
            ClosedError: the client is closed.
            Exception: whatever drawing from `actions` raises. All that was drawn is accepted.
        """
        self._queue.check_open()
        take = functools.partial(self._queue.producer.append_lines, timeout=self._patience)
        return Bulk(actions, self.config.flush_actions_batch_size, take, self._overflow).run()

    def identify(self, user_key: str, metadata: Mapping[str, Any] | None = None) -> bool:
        """Emit who a user is. It makes a request of its own, at once.

        Args:
            user_key: who; non-empty.
            metadata: what is known of the user.

        Returns:
            True, or False when it was dropped (`overflow="drop"`).

        Raises:
            EventError, BufferFullError, ClosedError: as `emit_action`.
        """
        record = encode_identity(user_key, metadata)
        try:
            self._queue.producer.append_alone(record, self._patience)
        except queue.Full as full:
            self._overflow(full)
            return False
        return True

    # The end of a stretch of work

    def flush(self, timeout: float | None = None) -> int:
        """Wait until all that this process has emitted before the call is settled.

        Args:
            timeout: seconds; None waits without a limit, unless no worker can be started.

        Returns:
            How many records are still pending: 0 is all settled. Settled is not delivered: see
            `stats()` for what was rejected or given up on.

        Raises:
            ClosedError: the client is closed.
        """
        self._engine.ensure_reports_read()
        return self._queue.producer.flush(timeout)

    def close(self, timeout: float | None = None) -> int:
        """Flush, and use the client no more. A second call does nothing and returns the same.

        In the process that made the client, this ends it for all processes; workers go when they
        have delivered what is left. Elsewhere it is only this process that has done with it.

        Args:
            timeout: as for `flush`.

        Returns:
            As `flush`.
        """
        before = self._left
        if before is not None:
            return before
        try:
            left = self.flush(timeout)
        except ClosedError:  # by another call meanwhile: a thread's, or a signal handler's
            before = self._left
            if before is None:
                raise
            return before
        try:
            self._to_close.pop()  # one call closes, whoever else comes
        except IndexError:
            return left
        try:
            self._close(left)
        finally:
            if self._left is None:  # it was interrupted: the next call may
                self._to_close.append(None)
        return left

    def stats(self) -> Stats:
        """The balance sheet of records, over all processes; after `close`, that of the closing."""
        return self._last_stats if self._left is not None else self._queue.stats()

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
        stats = self.stats()
        state = "open" if self._left is None else "closed"
        return (
            f"<Client {state} | accepted {stats.accepted} | delivered {stats.delivered} "
            f"| pending {stats.pending}>"
        )

    # Processes

    def __getstate__(self) -> Any:
        context.assert_spawning(self)  # by inheritance only, as every multiprocessing.Queue
        return self.config.without_callbacks(), self._engine.descriptors(), self._maker

    def __setstate__(self, state: Any) -> None:
        config, descriptors, maker = state
        self._assemble(config, Engine.inherit(config, descriptors), maker)

    def _close(self, left: int) -> None:
        if os.getpid() == self._maker:
            self._queue.arena.close_for_good()
        self._queue.producer.seal()
        self._last_stats = self._queue.stats()
        self._left = left
        self._abandon.detach()
        self._engine.stop(wait=left == 0)
        self._tell_drops(self._drops.rest(time.monotonic()))

    def _overflow(self, full: queue.Full, count: int = 1) -> None:
        """No frame is free for `count` records: drop them, if the configuration asks for it."""
        if self._drops_what_is_too_much:
            self._queue.counters.add(DROPPED_FULL, count)
            self._tell_drops(self._drops.add(count, time.monotonic()))
            return
        if isinstance(full, AbandonedError):
            raise BufferFullError(f"nobody could deliver it: {full}")
        raise BufferFullError(
            f"all {self.config.flush_buffer_size:,} frames are in use: the platform is slower than "
            "the events; raise flush_buffer_size or block_timeout, or set overflow"
        )

    def _tell_drops(self, count: Count) -> None:
        if count:
            _log.error("%s: buffer full", count.told("record", "dropped"))

    def _at_exit(self, started: float) -> None:
        """Give the workers a last chance while this process lives; after it they go on alone."""
        if self._left is not None:
            return
        self._tell_drops(self._drops.rest(time.monotonic()))
        if os.getpid() == self._maker:
            waited = time.monotonic() - started  # by other clients' flushes: it counts for all
            self._queue.producer.flush(max(0.0, self.config.exit_timeout - waited))
        else:
            self._queue.producer.seal()
        self._engine.take_leave()


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


@atexit.register
def _at_exit() -> None:
    # Not `close`: handlers that run after this one, and finalizers, may still emit.
    started = time.monotonic()
    for client in list(_clients):
        client._at_exit(started)
