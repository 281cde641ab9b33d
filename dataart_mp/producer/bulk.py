"""Emit many actions in one call: read them from an iterable, encode and append them in groups.

    iterable ──read──► group ───usual──► events ──encoder──► lines ──take──► open frame
                         └──── one by one, if they are not of the usual form ────────┘

Each group is appended before more is read, whatever the iterable raises. A group holds no more
actions than arrived within `_GROUP_SECONDS` at the rate of the previous one: actions that arrive
slowly are appended one by one, and do not wait for each other. (If the process forks while it
reads, parent and child both emit the current group.)
"""

import contextlib
import itertools
import queue
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from dataart_mp import clock
from dataart_mp.errors import ActionsError, BufferFullError, EventError, short_repr
from dataart_mp.producer.encoder import encode_action, encode_events
from dataart_mp.producer.hooks import DroppedError
from dataart_mp.producer.usual import FIELDS, REQUIRED, Event, as_events
from dataart_mp.protocol import Emitted
from dataart_mp.queue.frame_writer import Taken

_MAX_GROUP: Final = 256
_GROUP_SECONDS: Final = 0.01
_UNUSUAL: Final = 16  # actions that are appended before C is tried again
# So many refused actions are not a coincidence: the source is wrong, and reading stops.
_MAX_REFUSED: Final = 100
_EXAMPLE: Final = '{"key": "play", "user_key": "ann"}'

Take = Callable[[memoryview, int], Taken]
"""Takes at least the first of some records; raises queue.Full or EventError if it cannot."""

Emit = Callable[[list[Any], int, datetime], int]
"""Appends actions from an index on; returns how many, up to the first one that it cannot append."""

Encode = Callable[..., bytes]
"""Encodes one action, as `Hooks.encode_action`: it returns no bytes if it has appended the action
already, and raises DroppedError if a hook drops it."""

Count = Callable[[DroppedError], None]
"""Counts an action that a hook has dropped."""

Drop = Callable[[queue.Full, int], None]
"""Drops that many records; raises BufferFullError if records must not be dropped."""


class Bulk:
    """One call of `emit_actions`.

    Args:
        actions: Mappings of the arguments of `emit_action`, by name.
        portion: Number of records in a full frame.
        take: Appends records to the queue.
        drop: Called with the number of records for which there is no room.
        emit: Encodes and appends usual actions; None if the hot path in C is not in use.
        hooks: Encodes each action, and counts those that it drops; None if there are no hooks.
    """

    def __init__(
        self,
        actions: Iterable[Mapping[str, Any]],
        portion: int,
        take: Take,
        drop: Drop,
        emit: Emit | None = None,
        hooks: tuple[Encode, Count] | None = None,
    ) -> None:
        self._actions = iter(actions)
        self._size = _MAX_GROUP if isinstance(actions, Collection) else 1
        self._full_portion = self._portion = portion
        self._take = take
        self._drop = drop
        self._emit = emit
        self._has_hooks = hooks is not None
        self._encode: Encode
        self._count: Count
        self._encode, self._count = hooks or (encode_action, _never_dropped)
        self._waiting = b""  # the next record, if it was encoded and could not be appended
        self._group: list[Mapping[str, Any]] = []
        self._done = 0  # actions of the group that were taken, dropped or refused
        self._before = 0  # actions read before the group
        self._accepted = self._dropped = 0
        self._refused: list[EventError] = []

    def run(self) -> Emitted:
        """Read and append all actions.

        Raises:
            ActionsError: Some actions cannot be sent.
            BufferFullError: `drop` raised it.
            Exception: The iterable raised it.
        """
        with self.noting_refusals():
            self._append_all()
        return self.finish()

    @contextlib.contextmanager
    def noting_refusals(self) -> Iterator[None]:
        """Add to an exception what became of the actions before it."""
        try:
            yield
        except BaseException as error:
            if isinstance(error, BufferFullError):
                error.accepted = self._accepted
                error.rest = tuple(self._group[self._done :])
            if self._refused:
                error.add_note(f"Also refused: {self._refusal(finished=False)}")
            raise

    def finish(self) -> Emitted:
        """Return the result.

        Raises:
            ActionsError: Some actions cannot be sent.
        """
        if self._refused:
            raise self._refusal(finished=not self.has_failed)
        return Emitted(self._accepted, self._dropped)

    @property
    def has_failed(self) -> bool:
        """Whether so many actions were refused that no more should be read."""
        return len(self._refused) >= _MAX_REFUSED

    @property
    def processed(self) -> int:
        """Number of actions that were accepted or refused: the first ones of all."""
        return self._before + self._done

    @property
    def has_rest(self) -> bool:
        """Whether some actions of the group are not appended yet."""
        return self._done < len(self._group)

    def _append_all(self) -> None:
        while not self.has_failed:
            wanted = self._size
            try:
                self.read(wanted)
            finally:
                self.append()
            if len(self._group) < wanted:
                return

    def begin(self, group: list[Mapping[str, Any]]) -> None:
        """Let `append` append these actions; all that were read before are appended."""
        self._before += len(self._group)
        self._group, self._done, self._waiting = group, 0, b""

    def read_group(self, at_most: int) -> bool:
        """Read some actions, for `append`; return whether there may be more."""
        wanted = min(self._size, at_most)
        self.read(wanted)
        return len(self._group) == wanted

    def read(self, wanted: int) -> None:
        """Read actions, for `append`."""
        self.begin([])
        started = clock.monotonic()
        try:
            self._group.extend(itertools.islice(self._actions, wanted))
        finally:  # `extend` keeps what it got before an exception
            seconds = clock.monotonic() - started
            size = wanted * _GROUP_SECONDS / seconds if seconds else _MAX_GROUP
            self._size = max(1, min(_MAX_GROUP, int(size)))

    def append(self) -> None:
        """Append what is left of the group. If `drop` raises, this may be called again."""
        if self._emit is not None:
            self._emit_group(self._emit)
        elif self.has_rest:
            self._append(self._group[self._done :])

    def withdraw(self) -> list[Mapping[str, Any]]:
        """Return what is left of the group, and forget it."""
        rest = self._group[self._done :]
        del self._group[self._done :]
        self._waiting = b""
        return rest

    def _emit_group(self, emit: Emit) -> None:
        while self.has_rest:
            emitted = emit(self._group, self._done, datetime.now(UTC))
            self._accepted += emitted
            self._done += emitted
            if not emitted:
                self._append(self._group[self._done : self._done + _UNUSUAL])

    def _append(self, actions: list[Mapping[str, Any]]) -> None:
        events = None if self._has_hooks else as_events(actions)
        if events is None:
            self._append_one_by_one(len(actions))
        else:
            self._append_events(events)

    def _append_events(self, events: list[Event]) -> None:
        before = self._done
        while self._done < before + len(events):
            first = self._done - before
            portion = events[first : first + self._portion]
            lines = encode_events(portion)
            if lines is None:
                self._append_one_by_one(len(portion))
            else:
                self._append_lines(lines, len(portion))

    def _append_one_by_one(self, count: int) -> None:
        for action in self._group[self._done : self._done + count]:
            try:
                record = self._waiting or self._encode(**_arguments(action))
            except EventError as error:
                self._refuse(error)
            except DroppedError as dropped:
                self._count_dropped(dropped)
            else:
                if record:
                    self._waiting = record  # so that no hook sees the action twice
                    self._append_lines(record, 1)
                    self._waiting = b""
                else:
                    self._accepted += 1
                    self._done += 1

    def _append_lines(self, lines: bytes, count: int) -> None:
        rest = memoryview(lines)
        while count:
            try:
                taken = self._take(rest, count)
            except queue.Full as full:
                self._drop(full, count)
                self._accepted += count
                self._dropped += count
                self._done += count
                return
            except EventError as error:
                self._refuse(error)
                taken = Taken(1, bytes(rest).index(b"\n") + 1, self._portion)
            else:
                self._accepted += taken.records
                self._done += taken.records
            rest = rest[taken.size :]
            count -= taken.records
            self._portion = taken.room or self._full_portion

    def _count_dropped(self, dropped: DroppedError) -> None:
        self._count(dropped)
        self._accepted += 1
        self._dropped += 1
        self._done += 1

    def _refuse(self, error: EventError) -> None:
        place = f"actions[{self._before + self._done}]"
        path = place if error.path is None else f"{place}.{error.path}"
        # The message of an error with a path begins with that path.
        text = f"{place}: {error}" if error.path is None else f"{place}.{error}"
        refused = EventError(text, path)
        refused.__cause__ = error.__cause__
        self._refused.append(refused)
        self._done += 1

    def _refusal(self, *, finished: bool) -> ActionsError:
        first, *others = self._refused
        more = f" (and {len(others)} more)" if others else ""
        accepted = f"{self._accepted:,} others were accepted"
        dropped = f", {self._dropped:,} of them dropped" if self._dropped else ""
        end = "" if finished else f"; stopped after {self._before + self._done:,} actions"
        return ActionsError(
            f"{first}{more}; {accepted}{dropped}{end}",
            first.path,
            tuple(self._refused),
            accepted=self._accepted,
            dropped=self._dropped,
            finished=finished,
        )


def _never_dropped(dropped: DroppedError) -> NoReturn:
    raise AssertionError("only a hook drops an action before it is encoded") from dropped


def _arguments(action: object) -> dict[str, Any]:
    """Return an action as the arguments of `encode_action`.

    Raises:
        EventError: It is not a mapping, or has missing or unknown fields.
    """
    try:
        arguments = dict(action) if isinstance(action, Mapping) else None
    except Exception as error:
        problem = f"it raised {short_repr(error)}; pass a dict, such as {_EXAMPLE}"
        raise EventError(f"{short_repr(action)} cannot be read: {problem}") from error
    if arguments is None:
        kind = type(action).__name__
        problem = f"is not an action; pass a dict, such as {_EXAMPLE}"
        raise EventError(f"{kind} ({short_repr(action)}) {problem}")
    for name in REQUIRED:
        if name not in arguments:
            raise EventError(f"{name}: is missing; pass a dict, such as {_EXAMPLE}", name)
    for name in arguments:
        if name not in FIELDS:
            fields = ", ".join(FIELDS)
            problem = f"is not a field of an action; the fields are {fields}"
            raise EventError(f"{short_repr(name)} {problem}")
    return arguments
