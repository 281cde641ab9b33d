"""Groups of actions for `AsyncClient.emit_actions`, from an iterable or an async iterable."""

import types
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Mapping,
)
from typing import Any, Final

from dataart_mp.aio.eager_client import NotNowError
from dataart_mp.producer.bulk import Bulk

Action = Mapping[str, Any]

MAX_GROUP: Final = 64
"""Actions that are appended at once: about 0.1 ms, in which the event loop does nothing else."""


class Reader:
    """Reads actions from an iterable, no more than there is room for.

    So what was read is emitted, also if the call is cancelled while it waits for room. Only what
    other threads or processes take the room of stays in hand.

    Args:
        bulk: The call of `emit_actions`, with its iterable.
        room: Returns how many actions may be read; 0: none, because there is no room.
    """

    def __init__(self, bulk: Bulk, room: Callable[[], int]) -> None:
        self._bulk = bulk
        self._room = room
        self._has_more = True
        self._error: BaseException | None = None

    def is_over(self) -> bool:
        """Whether all actions were read and appended.

        Raises:
            Exception: The iterable raised it, and all actions before it are appended.
        """
        if self._bulk.has_rest or (self._has_more and not self._bulk.has_failed):
            return False
        if self._error is not None:
            raise self._error
        return True

    def append_next(self) -> None:
        """Append what is in hand; if that is nothing, read the next actions and append them.

        Raises:
            NotNowError: There is no room.
        """
        if not self._bulk.has_rest:
            room = self._room()
            if not room:
                raise NotNowError
            self.read(room)
        self._bulk.append()

    def read(self, at_most: int) -> None:
        """Read the next actions. An exception of the iterable is kept for `is_over`."""
        try:
            self._has_more = self._bulk.read_group(min(at_most, MAX_GROUP))
        except BaseException as error:  # noqa: BLE001 - `is_over` raises it
            self._has_more, self._error = False, error


async def groups_of(
    actions: AsyncIterable[Action],
    room: Callable[[], Awaitable[int]],
    ready: Callable[[list[Action]], object],
) -> AsyncIterator[list[Action]]:
    """Yield the actions of an async iterable in groups; what was read before an exception, too.

    Args:
        actions: What to read.
        room: Returns how many actions may be read, when there is room for one at least.
        ready: Called with what was read when the iterable suspends, so that nothing waits for the
            next action. It removes from the list what it can use at once.
    """
    iterator = aiter(actions)
    group: list[Action] = []

    def suspended() -> None:
        ready(group)

    while True:
        limit = min(MAX_GROUP, await room())
        try:
            while len(group) < limit:
                group.append(await _next(iterator, suspended))
        except StopAsyncIteration:
            break
        except BaseException:
            yield group
            raise
        yield group
        group = []
    yield group


@types.coroutine
def _next(
    iterator: AsyncIterator[Action], suspended: Callable[[], object]
) -> Generator[Any, Any, Action]:
    """Await the next item; call a function before the iterator suspends for the first time."""
    step = iterator.__anext__().__await__()
    try:
        waits_for = step.send(None)
        suspended()
        while True:
            try:
                result = yield waits_for
            except GeneratorExit:
                step.close()
                raise
            except BaseException as error:  # noqa: BLE001 - it is the iterator's to handle
                waits_for = step.throw(error)
            else:
                waits_for = step.send(result)
    except StopIteration as end:
        item: Action = end.value
        return item
