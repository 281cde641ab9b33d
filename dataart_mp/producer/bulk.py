"""Many actions in one call: drawn from an iterable, encoded and put by the group.

    iterable ──draw──► group ──columns──► events ──encoder──► lines ──take──► the frame that is open
                         └──────── one by one, if they are not of the usual form ────────┘

What was drawn is put before more is drawn, whatever the iterable raises. A group is no larger than
what came within `_GROUP_SECONDS` at the pace of the last one: events that trickle in are put one by
one, and do not wait for each other. (A process that forks while it draws has the group twice.)
"""

import itertools
import queue
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from dataart_mp.errors import ActionsError, BufferFullError, EventError, short_repr
from dataart_mp.producer.columns import FIELDS, NEEDED, Event, as_events
from dataart_mp.producer.encoder import encode_action, encode_events
from dataart_mp.protocol import Emitted
from dataart_mp.queue.frame_writer import Taken

_MOST_IN_GROUP: Final = 256
_GROUP_SECONDS: Final = 0.01
# When so many were refused, it is no accident: no more is drawn.
_MOST_REFUSED: Final = 100
_EXAMPLE: Final = '{"key": "play", "user_key": "ann"}'

Take = Callable[[memoryview, int], Taken]
"""Takes at least the first of some records; queue.Full, EventError: it cannot."""

Drop = Callable[[queue.Full, int], None]
"""Drops so many records, or says why not by a BufferFullError."""


class Bulk:
    """One `emit_actions`.

    Args:
        actions: Mappings of the arguments of `emit_action`, by name.
        portion: How many records make a frame full.
        take: Where records go.
        drop: What is asked when there is no room for them.
    """

    def __init__(
        self, actions: Iterable[Mapping[str, Any]], portion: int, take: Take, drop: Drop
    ) -> None:
        self._actions = iter(actions)
        self._size = _MOST_IN_GROUP if isinstance(actions, Collection) else 1
        self._full_portion = self._portion = portion
        self._take = take
        self._drop = drop
        self._group: list[Mapping[str, Any]] = []
        self._done = 0  # how many of the group are through
        self._before = 0  # how many actions there were before the group
        self._accepted = self._dropped = 0
        self._refused: list[EventError] = []

    def run(self) -> Emitted:
        """Draw and put them all.

        Raises:
            ActionsError: some cannot be sent.
            BufferFullError: as `drop`.
            Exception: whatever the iterable raises.
        """
        try:
            finished = self._put_all()
        except BaseException as error:
            if self._refused:
                error.add_note(f"Besides: {self._refusal(finished=False)}")
            raise
        if self._refused:
            raise self._refusal(finished=finished)
        return Emitted(self._accepted, self._dropped)

    def _put_all(self) -> bool:
        """False when too many were refused to go on."""
        while len(self._refused) < _MOST_REFUSED:
            wanted = self._size
            self._draw(wanted)
            if len(self._group) < wanted:
                return True
        return False

    def _draw(self, wanted: int) -> None:
        self._before += len(self._group)
        self._group, self._done = [], 0
        started = time.monotonic()
        try:
            self._group.extend(itertools.islice(self._actions, wanted))
        finally:  # `extend` keeps what came before an exception
            seconds = time.monotonic() - started
            pace = wanted * _GROUP_SECONDS / seconds if seconds else _MOST_IN_GROUP
            self._size = max(1, min(_MOST_IN_GROUP, int(pace)))
            self._put_group()

    def _put_group(self) -> None:
        if not self._group:
            return
        try:
            events = as_events(self._group)
            if events is None:
                self._put_one_by_one(len(self._group))
            else:
                self._put_events(events)
        except BufferFullError as error:
            error.accepted, error.rest = self._accepted, tuple(self._group[self._done :])
            raise

    def _put_events(self, events: list[Event]) -> None:
        while self._done < len(events):
            portion = events[self._done : self._done + self._portion]
            lines = encode_events(portion)
            if lines is None:
                self._put_one_by_one(len(portion))
            else:
                self._put_lines(lines, len(portion))

    def _put_one_by_one(self, count: int) -> None:
        for action in self._group[self._done : self._done + count]:
            try:
                record = encode_action(**_arguments(action))
            except EventError as error:
                self._refuse(error)
            else:
                self._put_lines(record, 1)

    def _put_lines(self, lines: bytes, count: int) -> None:
        left = memoryview(lines)
        while count:
            try:
                taken = self._take(left, count)
            except queue.Full as full:
                self._drop(full, count)
                self._dropped += count
                self._done += count
                return
            except EventError as error:
                self._refuse(error)
                taken = Taken(1, bytes(left).index(b"\n") + 1, self._portion)
            else:
                self._accepted += taken.records
                self._done += taken.records
            left = left[taken.size :]
            count -= taken.records
            self._portion = taken.room or self._full_portion

    def _refuse(self, error: EventError) -> None:
        where = f"actions[{self._before + self._done}]"
        path = where if error.path is None else f"{where}.{error.path}"
        # What names its place begins with it.
        text = f"{where}: {error}" if error.path is None else f"{where}.{error}"
        refused = EventError(text, path)
        refused.__cause__ = error.__cause__
        self._refused.append(refused)
        self._done += 1

    def _refusal(self, *, finished: bool) -> ActionsError:
        first, *others = self._refused
        more = f" (and {len(others)} more)" if others else ""
        put = f"{self._accepted:,} others were accepted"
        end = "" if finished else f"; went no further than {self._before + self._done:,}"
        return ActionsError(
            f"{first}{more}; {put}{end}",
            first.path,
            tuple(self._refused),
            accepted=self._accepted,
            dropped=self._dropped,
            finished=finished,
        )


def _arguments(action: object) -> dict[str, Any]:
    """The arguments of `encode_action` that an action names.

    Raises:
        EventError: it names others, or not all that are needed, or none.
    """
    if not isinstance(action, Mapping):
        kind = type(action).__name__
        raise EventError(f"{kind} ({short_repr(action)}) is no action; pass a dict, as {_EXAMPLE}")
    try:
        arguments = dict(action)
    except Exception as error:
        problem = f"it raised {short_repr(error)}; pass a dict, as {_EXAMPLE}"
        raise EventError(f"{short_repr(action)} cannot be read: {problem}") from error
    for name in NEEDED:
        if name not in arguments:
            raise EventError(f"{name}: is missing; pass at least a dict as {_EXAMPLE}", name)
    for name in arguments:
        if name not in FIELDS:
            known = ", ".join(FIELDS)
            raise EventError(f"{short_repr(name)} is no field of an action; those are {known}")
    return arguments
