"""Groups of actions for `AsyncClient.emit_actions`, from an iterable or an async iterable."""

import itertools
import types
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Mapping
from typing import Any, Final

Action = Mapping[str, Any]

MAX_GROUP: Final = 64
"""Actions that are appended at once: about 0.1 ms, in which the event loop does nothing else."""


async def groups_of(
    actions: Iterable[Action] | AsyncIterable[Action], ready: Callable[[list[Action]], object]
) -> AsyncIterator[list[Action]]:
    """Yield the actions in groups; what was read before an exception of the iterable, too.

    Args:
        actions: What to read.
        ready: Called with what was read from an async iterable when that suspends, so that nothing
            waits for the next action. It removes from the list what it can use at once.
    """
    if isinstance(actions, AsyncIterable):
        async for group in _async_groups(aiter(actions), ready):
            yield group
        return
    iterator = iter(actions)
    more = True
    while more:
        part: list[Action] = []
        try:
            part.extend(itertools.islice(iterator, MAX_GROUP))
        except BaseException:
            yield part  # `extend` keeps what it got before an exception
            raise
        more = len(part) == MAX_GROUP
        yield part


async def _async_groups(
    iterator: AsyncIterator[Action], ready: Callable[[list[Action]], object]
) -> AsyncIterator[list[Action]]:
    group: list[Action] = []

    def suspended() -> None:
        ready(group)

    while True:
        try:
            group.append(await _next(iterator, suspended))
        except StopAsyncIteration:
            break
        except BaseException:
            yield group
            raise
        if len(group) >= MAX_GROUP:
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
