"""The eager client: a `Client` that raises `NotNowError` where another one would wait."""

import queue
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from dataart_mp.client import FULL, Client
from dataart_mp.config import ClientConfig
from dataart_mp.producer.bulk import Bulk
from dataart_mp.producer.hooks import DroppedError
from dataart_mp.queue import AbandonedError
from dataart_mp.queue.frame_writer import Taken
from dataart_mp.queue.room import Room

if TYPE_CHECKING:
    from dataart_mp.table.emission import Emission

# To encode so many rows takes some 10 ms, on another thread. Fewer take longer for each row; more
# keep the interpreter's lock for longer.
_TABLE_ROWS: Final = 4096


class NotNowError(Exception):
    """A record was not appended, because that would take a wait.

    Attributes:
        record: The record; empty if the caller has it.
    """

    def __init__(self, record: bytes = b"") -> None:
        super().__init__()
        self.record = record


class EagerClient(Client):
    """A `Client` no call of which waits, for one event loop or several.

    Args:
        config: The settings.
    """

    def __init__(self, config: ClientConfig) -> None:
        super().__init__(config)
        self._timeout = 0.0
        self._waits_when_full = config.overflow == "block"

    def _use_hooks(self) -> None:
        super()._use_hooks()
        self._hooks.emit = None  # it would append before the tasks that are in line

    def action(self, *event: object) -> bytes | None:
        """Encode an action; None if a hook drops it, which is counted."""
        return self._encoded(self._encode_action, *event)

    def identity(self, *event: object) -> bytes | None:
        """Encode an identity; as `action`."""
        return self._encoded(self._encode_identity, *event)

    def _encoded(self, encode: Callable[..., bytes], *event: object) -> bytes | None:
        try:
            return encode(*event)
        except DroppedError as dropped:
            self._count_dropped(dropped)
            return None

    @property
    def is_ready(self) -> bool:
        """Whether workers have been started for this process.

        Raises:
            ClosedError: The client is closed.
        """
        return self._producer.is_started

    @property
    def writes_to_disk(self) -> bool:
        """Whether filling a frame takes a write to the disk."""
        return self.config.spool_sync == "batch"

    def start(self) -> None:
        """Start workers for this process, which takes some milliseconds."""
        self._producer.start()

    def retry_now(self) -> None:
        """Have everything sent at once; with a long backlog, this takes some milliseconds."""
        self._engine.ensure_reports_read()
        self._producer.retry_now()

    def wait_for_room(self) -> Room:
        """Return what an event loop waits with."""
        return self._producer.wait_for_room()

    def _append_record(self, record: bytes) -> bool:
        if not self._producer.is_started or self._producer.may_wait_for_the_disk(len(record)):
            raise NotNowError(record)
        return self.append_now(record)

    def append_now(self, record: bytes) -> bool:
        """Append an action that was encoded, though that may start workers or write to the disk.

        Raises:
            NotNowError: There is no room.
        """
        if not self._waits_when_full and self._producer.is_full:
            return self.refuse(FULL if self._drops_when_full else self._producer.full_error())
        try:
            self._producer.append(record, 0.0)
        except queue.Full as full:
            return self._refuse(full, record)
        return True

    def _append_alone(self, record: bytes) -> bool:
        # It is sealed at once, which with spool_sync="batch" writes to the disk.
        if not self._producer.is_started or self.writes_to_disk:
            raise NotNowError(record)
        return self.append_alone_now(record)

    def append_alone_now(self, record: bytes) -> bool:
        """Append an identity that was encoded; as `append_now`."""
        try:
            self._producer.append_alone(record, 0.0)
        except queue.Full as full:
            return self._refuse(full, record)
        return True

    def refuse(self, full: queue.Full) -> bool:
        """Drop a record for which there is no room, or raise what the settings say.

        Raises:
            BufferFullError: As for `emit_action`.
        """
        self._drop(full)
        return False

    def _refuse(self, full: queue.Full, record: bytes) -> bool:
        if self._may_wait(full):
            raise NotNowError(record)
        return self.refuse(full)

    def _may_wait(self, full: queue.Full) -> bool:
        return self._waits_when_full and not isinstance(full, AbandonedError)

    def room(self) -> int:
        """Return for how many actions there is certainly room; 0: for none.

        A call that does not wait for room need not look for it: then it is any number.
        """
        if not self._waits_when_full:
            return sys.maxsize
        return 0 if self._producer.is_full else max(1, self._producer.free_frames)

    def bulk(self, actions: Iterable[Mapping[str, Any]]) -> Bulk:
        """Return a call of `emit_actions`; its `append` raises NotNowError, too."""
        return self._bulk(actions, self._take, self._refuse_some)

    def emission(self, table: object, **arguments: Any) -> "Emission":
        """Return a call of `emit_table`; its `step` raises NotNowError, too.

        Raises:
            TableError, MissingExtraError: As for `emit_table`.
        """
        take, drop = self._take, self._refuse_some
        return self._emission(table, take, drop, max_rows=_TABLE_ROWS, **arguments)

    def _take(self, lines: memoryview, count: int) -> Taken:
        return self._producer.append_lines(lines, count, 0.0)

    def _refuse_some(self, full: queue.Full, count: int) -> None:
        if self._may_wait(full):
            raise NotNowError
        self._drop(full, count)
