"""The asyncio client delivers, suspends tasks and not the loop, and loses nothing."""

import asyncio
import gc
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any

import pytest

from dataart_mp import (
    ActionsError,
    BufferFullError,
    ClosedError,
    DataArtError,
    EventError,
    HTTPOptions,
)
from dataart_mp.aio import AsyncClient
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.integrations.logging import DataArtHandler
from tests.aio.conftest import Run
from tests.client.tools import TINY
from tests.queue.tools import in_a_child
from tests.support import Configure, wait_until

CAPACITY = 6
UNLIMITED = {**TINY, "http": HTTPOptions(read_timeout=60.0)}


async def fill(client: AsyncClient) -> None:
    for _ in range(CAPACITY):
        assert await client.emit_action("first", "ann")


def keys(sink: SinkProcess) -> list[str]:
    """Return the keys of the actions that have arrived; some of them may be of an earlier test."""
    return [action["key"] for action in sink.events(limit=1000)]


async def suspended(client: AsyncClient, number: int) -> None:
    """Wait until so many tasks wait for room."""
    while sum(len(waiters._line) for waiters in client._waiters.values()) < number:
        await asyncio.sleep(0.001)


def test_events_of_each_kind_arrive(run: Run, config: Configure, sink: SinkProcess) -> None:
    async def main() -> None:
        async with AsyncClient(config()) as client:
            assert await client.emit_action("play", "ann", metadata={"song": "Blue"})
            assert await client.identify("ann", {"plan": "free"})
            emitted = await client.emit_actions([{"key": "stop", "user_key": "ann"}] * 3)
            assert emitted.accepted == 3
            assert await client.flush(20) == 0
            assert client.stats().delivered == 5
        assert client.stats().delivered == 5
        assert await client.aclose() == 0
        for call in (client.emit_action("late", "ann"), client.identify("ann"), client.flush()):
            with pytest.raises(ClosedError):
                await call

    run(main())
    assert sorted(key for key in keys(sink) if key != "first") == ["play", "stop", "stop", "stop"]


def test_a_usual_call_completes_without_suspending(config: Configure) -> None:
    async def main() -> None:
        async with AsyncClient(config()) as client:
            await client.emit_action("first", "ann")
            call = client.emit_action("second", "ann")
            with pytest.raises(StopIteration) as end:
                call.send(None)
            assert end.value.value is True

    asyncio.run(main())


def test_a_client_needs_no_async_with(run: Run, config: Configure) -> None:
    async def main() -> None:
        client = AsyncClient(config())
        assert repr(client) == "<AsyncClient not open yet>"
        assert (client.mark().pending(), await client.flush(), client.stats().accepted) == (0, 0, 0)
        await asyncio.gather(*(client.emit_action("first", "ann") for _ in range(50)))
        assert client.stats().accepted == 50
        assert await client.aclose(20) == 0
        never = AsyncClient(config())
        assert await never.aclose() == 0
        with pytest.raises(ClosedError):
            await never.emit_action("late", "ann")

    run(main())


def test_the_first_event_does_not_block_the_loop_while_workers_start(config: Configure) -> None:
    async def main() -> None:
        client = AsyncClient(config())
        first = asyncio.ensure_future(client.emit_action("first", "ann"))
        turns = 0
        while not first.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 2
        await client.aclose()

    asyncio.run(main())


# A full buffer


def test_tasks_wait_in_order_while_the_loop_runs(
    run: Run, config: Configure, hanging: SinkProcess
) -> None:
    async def main() -> None:
        async with AsyncClient(config(**UNLIMITED)) as client:
            await fill(client)
            done: list[int] = []

            async def emit(number: int) -> None:
                assert await client.emit_action("second", "ann", metadata={"n": number})
                done.append(number)

            tasks = []
            for number in range(40):
                tasks.append(asyncio.ensure_future(emit(number)))
                await suspended(client, number + 1)
            assert not done
            threads = threading.active_count()
            assert threads < 10, "no thread per call"
            hanging.clear_faults()
            await asyncio.gather(*tasks)
            assert done == sorted(done)
            assert not client._waiters
            assert not client._lines
            assert await client.flush(20) == 0
            assert client.stats().delivered == CAPACITY + 40

    run(main())


def test_the_loop_runs_during_an_outage(run: Run, config: Configure, sink: SinkProcess) -> None:
    """`python -m bench stall` measures for how long it is stopped."""

    async def main() -> None:
        async with AsyncClient(config(**UNLIMITED, flush_num_retries=1000)) as client:
            sink.set_faults({"kind": "status", "status": 503})
            await fill(client)
            tasks = [asyncio.ensure_future(client.emit_action("a", "ann")) for _ in range(50)]
            await suspended(client, 50)
            turns = 0
            while turns < 200:
                await asyncio.sleep(0.001)
                turns += 1
            assert not any(task.done() for task in tasks)
            sink.clear_faults()
            assert all(await asyncio.gather(*tasks))
            assert await client.flush(20) == 0

    run(main())


def test_a_cancelled_call_has_emitted_nothing_and_others_continue(
    run: Run, config: Configure, hanging: SinkProcess
) -> None:
    async def main() -> None:
        async with AsyncClient(config(**UNLIMITED)) as client:
            await fill(client)
            tasks = [
                asyncio.ensure_future(client.emit_action("second", "ann", metadata={"n": number}))
                for number in range(40)
            ]
            await suspended(client, 40)
            for task in tasks[::2]:
                task.cancel()
            hanging.clear_faults()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [result is True for result in results] == [False, True] * 20
            assert await client.flush(20) == 0
            assert client.stats().accepted == client.stats().delivered == CAPACITY + 20
            assert not client._waiters

    run(main())


def test_a_task_that_is_woken_and_cancelled_at_once_wakes_the_next_one(
    config: Configure, hanging: SinkProcess
) -> None:
    async def main() -> None:
        async with AsyncClient(config(**UNLIMITED)) as client:
            await fill(client)
            first, second = (
                asyncio.ensure_future(client.emit_action("second", "ann")) for _ in range(2)
            )
            await suspended(client, 2)
            (waiters,) = client._waiters.values()
            waiters._wake_first()
            first.cancel()
            hanging.clear_faults()
            assert await second
            with pytest.raises(asyncio.CancelledError):
                await first

    asyncio.run(main())


def test_block_timeout_raises(run: Run, config: Configure, hanging: SinkProcess) -> None:
    async def main() -> None:
        client = AsyncClient(config(**TINY, block_timeout=0.2))
        await fill(client)
        started = time.monotonic()
        calls = [client.emit_action("second", "ann"), client.identify("ann")]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [BufferFullError] * 2
        # uvloop counts time in whole milliseconds.
        assert 0.199 <= time.monotonic() - started < 5
        actions = ({"key": "a", "user_key": str(n)} for n in range(3))
        with pytest.raises(BufferFullError) as error:
            await client.emit_actions(actions)
        assert error.value.rest == ()
        assert next(actions)["user_key"] == "0", "nothing is read while there is no room"
        hanging.clear_faults()
        assert await client.aclose(20) == 0
        assert client.stats().accepted == CAPACITY

    run(main())


def test_drop_and_raise_do_not_suspend(config: Configure, hanging: SinkProcess) -> None:
    async def main() -> None:
        async with AsyncClient(config(**TINY, overflow="drop")) as client:
            await fill(client)
            assert not await client.emit_action("second", "ann")
            assert not await client.identify("ann")
            actions = [{"key": "second", "user_key": "ann"}] * 5
            assert await client.emit_actions(actions) == (5, 5)
            mark = client.mark()
            assert mark.outcome().dropped == 7
            hanging.clear_faults()
            assert await client.aclose(20) == await client.aclose() == 0
            with pytest.raises(ClosedError):
                client.mark()
        hanging.set_faults({"kind": "hang"})
        async with AsyncClient(config(**TINY, overflow="raise")) as client:
            await fill(client)
            with pytest.raises(BufferFullError) as refused:
                await client.emit_action("second", "ann")
            assert refused.value.__context__ is None, "each event costs one exception"
            with pytest.raises(BufferFullError):
                await client.emit_actions(actions)
            hanging.clear_faults()

    asyncio.run(main())


def test_a_suspended_task_keeps_few_objects(config: Configure, hanging: SinkProcess) -> None:
    """In an outage there may be thousands, and the garbage collector visits all their objects."""

    async def kept_by(calls: list[Coroutine[Any, Any, object]]) -> float:
        """Return how many objects the collector visits for each suspended call."""
        await asyncio.sleep(0.01)  # the event loop forgets what was done before
        gc.collect()
        before = len(gc.get_objects())
        tasks = [asyncio.ensure_future(call) for call in calls]
        await asyncio.sleep(0)
        kept = (len(gc.get_objects()) - before) / len(calls)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return kept

    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        async with AsyncClient(config(**TINY)) as client:
            await fill(client)
            gc.disable()
            try:
                least = await kept_by([wait() for _ in range(200)])
                emitting = await kept_by([client.emit_action("second", "ann") for _ in range(200)])
            finally:
                gc.enable()
            assert emitting - least < 7, "with a coroutine for each step of the call, it is 10"
            hanging.clear_faults()

    asyncio.run(main())


def test_closing_ends_the_wait_of_suspended_tasks(
    run: Run, config: Configure, hanging: SinkProcess
) -> None:
    async def main() -> None:
        client = AsyncClient(config(**TINY))
        await fill(client)
        tasks = [asyncio.ensure_future(client.emit_action("second", "ann")) for _ in range(3)]
        await suspended(client, 3)
        mark = client.mark()
        waiting = asyncio.ensure_future(mark.settled())
        assert await client.aclose(0.1) == CAPACITY
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [ClosedError] * 3
        assert await waiting == mark.pending() == CAPACITY
        hanging.clear_faults()

    run(main())


# Many actions


def test_many_actions_wait_for_room_and_let_other_tasks_run(
    run: Run, config: Configure, sink: SinkProcess
) -> None:
    async def main() -> None:
        async with AsyncClient(config(**TINY)) as client:
            turns = 0

            async def other() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            task = asyncio.ensure_future(other())
            actions = ({"key": "many", "user_key": "ann"} for _ in range(500))
            assert await client.emit_actions(actions) == (500, 0)
            task.cancel()
            assert turns > 10
            assert await client.flush(20) == 0

    run(main())
    assert keys(sink).count("many") == 500


@pytest.mark.parametrize("kind", ["iterable", "async iterable"])
def test_a_cancelled_call_has_emitted_all_that_it_has_read_and_another_continues(
    run: Run, config: Configure, sink: SinkProcess, kind: str
) -> None:
    total = 400

    def numbered() -> Iterator[dict[str, Any]]:
        for number in range(total):
            yield {"key": "once", "user_key": "ann", "metadata": {"_id": number}}

    async def async_numbered() -> AsyncIterator[dict[str, Any]]:
        for action in numbered():
            yield action

    async def main() -> None:
        async with AsyncClient(config(**UNLIMITED)) as client:
            actions: Any = numbered() if kind == "iterable" else async_numbered()
            emitted = rounds = 0
            while emitted < total:
                seen = [0]
                task = asyncio.ensure_future(client.emit_actions(actions, progress=seen.append))
                if rounds < 5:
                    sink.set_faults({"kind": "hang"})
                    await suspended(client, 1)
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
                    sink.clear_faults()
                else:
                    await task
                rounds += 1
                assert seen == sorted(set(seen))
                emitted += seen[-1]
                assert client.stats().accepted == emitted
            assert await client.flush(20) == 0

    run(main())
    assert sink.ids() == dict.fromkeys(range(total), 1)


def test_an_async_iterable_is_emitted_before_it_suspends(run: Run, config: Configure) -> None:
    async def main() -> None:
        async with AsyncClient(config()) as client:
            seen: list[int] = []

            async def stream() -> AsyncIterator[dict[str, Any]]:
                for _number in range(1, 6):
                    yield {"key": "stream", "user_key": "ann"}
                    await asyncio.sleep(0.001)
                    seen.append(client.stats().accepted)

            assert await client.emit_actions(stream()) == (5, 0)
            assert seen == [1, 2, 3, 4, 5]

    run(main())


def test_what_was_read_before_an_exception_is_accepted(config: Configure) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield {"key": "a", "user_key": "ann"}
        raise ValueError("broken")

    async def async_broken() -> AsyncIterator[dict[str, Any]]:
        for action in broken():
            yield action

    async def main() -> None:
        async with AsyncClient(config()) as client:
            for actions in (broken(), async_broken()):
                with pytest.raises(ValueError, match="broken"):
                    await client.emit_actions(actions)
            assert client.stats().accepted == 2

    asyncio.run(main())


def test_invalid_actions_are_named_by_their_number(config: Configure) -> None:
    async def stream() -> AsyncIterator[dict[str, Any]]:
        for number in range(200):
            key = "" if number == 150 else "a"
            if not number % 7:
                await asyncio.sleep(0)
            yield {"key": key, "user_key": "ann"}

    async def main() -> None:
        async with AsyncClient(config()) as client:
            with pytest.raises(ActionsError, match=r"actions\[150\]\.key") as error:
                await client.emit_actions(stream())
            assert error.value.accepted == 199
            with pytest.raises(EventError):
                await client.emit_action("", "ann")

    asyncio.run(main())


# Code that cannot await


def test_an_event_that_cannot_be_awaited_is_dropped_if_there_is_no_room(
    config: Configure, hanging: SinkProcess
) -> None:
    async def main() -> None:
        client = AsyncClient(config(**UNLIMITED))
        with pytest.raises(DataArtError, match="not open yet; use `async with AsyncClient"):
            client.emit_action_nowait("early", "ann")
        async with client:
            handler = DataArtHandler(client, key="log")
            for _ in range(CAPACITY):
                handler.handle(logging.makeLogRecord({"msg": "full", "name": None}))
            assert client.stats().accepted == CAPACITY
            assert not client.emit_action_nowait("second", "ann")
            assert client.stats().dropped == {"buffer full": 1}
            hanging.clear_faults()
            assert await client.flush(20) == 0
        with pytest.raises(ClosedError):
            client.emit_action_nowait("late", "ann")

    asyncio.run(main())
    assert keys(hanging).count("log") == CAPACITY


# Marks


def test_a_task_awaits_a_mark(run: Run, config: Configure, sink: SinkProcess) -> None:
    async def main() -> None:
        async with AsyncClient(config()) as client:
            marks = []
            for number in range(100):
                await client.emit_action("a", "ann", metadata={"n": number})
                marks.append(client.mark())
            assert marks[-1].pending() > 0
            outcomes = await asyncio.gather(*marks)
            assert {str(outcome) for outcome in outcomes} == {"all delivered"}
            assert client.stats().delivered == 100
            assert not client._waiters

    run(main())


def test_waiting_for_a_mark_ends_at_its_timeout(config: Configure, hanging: SinkProcess) -> None:
    async def main() -> None:
        async with AsyncClient(config(**UNLIMITED)) as client:
            await fill(client)
            assert await client.mark().settled(0.1) == CAPACITY
            assert await client.flush(0) == CAPACITY
            task = asyncio.ensure_future(client.mark().settled())
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not client._waiters
            with pytest.raises(ValueError, match="timeout"):
                await client.mark().settled(-1)
            hanging.clear_faults()

    asyncio.run(main())


# Loops, threads and processes


def test_several_loops_in_several_threads_share_a_client(
    run: Run, config: Configure, sink: SinkProcess
) -> None:
    client = AsyncClient(config(**TINY))

    async def main() -> None:
        await asyncio.gather(*(client.emit_action("a", "ann") for _ in range(60)))
        assert await client.mark().settled(20) == 0

    threads = [threading.Thread(target=run, args=(main(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert run(client.aclose(20)) == 0
    assert client.stats().delivered == 240


def test_a_forked_child_emits_in_its_own_loop(config: Configure, hanging: SinkProcess) -> None:
    """The parent forks while a task of its loop is suspended."""
    client = AsyncClient(config(**UNLIMITED))

    async def in_child() -> None:
        assert await client.emit_action("child", "ann")
        assert len(client._waiters) == 0
        assert await client.mark().settled(20) == 0

    async def main() -> None:
        await fill(client)
        task = asyncio.ensure_future(client.emit_action("second", "ann"))
        await suspended(client, 1)
        pid = os.fork()
        if not pid:
            status = 1
            try:
                asyncio._set_running_loop(None)
                asyncio.run(in_child())
                status = 0
            finally:
                os._exit(status)
        hanging.clear_faults()
        assert await task
        ended = await asyncio.get_running_loop().run_in_executor(None, os.waitpid, pid, 0)
        assert ended == (pid, 0)
        assert await client.aclose(20) == 0
        assert client.stats().delivered == CAPACITY + 2

    asyncio.run(main())


def test_a_client_that_was_opened_before_a_fork_starts_again_in_the_child(
    config: Configure, sink: SinkProcess
) -> None:
    client = AsyncClient(config())

    async def emit() -> None:
        assert await client.emit_action("a", "ann")
        assert await client.flush(20) == 0

    asyncio.run(emit())
    assert in_a_child(lambda: asyncio.run(emit())) == 0
    assert asyncio.run(client.aclose(20)) == 0
    assert client.stats().delivered == 2


def test_a_client_that_is_forgotten_leaves_nothing_behind(config: Configure) -> None:
    async def main() -> None:
        client = AsyncClient(config())
        await client.emit_action("a", "ann")

    asyncio.run(main())
    gc.collect()
    wait_until(lambda: not any("dataart" in each.name for each in threading.enumerate()))


def test_with_spool_sync_batch_frames_are_filled_on_another_thread(
    config: Configure, sink: SinkProcess, tmp_path: Any
) -> None:
    async def main() -> None:
        settings = {**TINY, "spool_dir": tmp_path, "spool_sync": "batch"}
        async with AsyncClient(config(**settings)) as client:
            await asyncio.gather(*(client.emit_action("a", "ann") for _ in range(30)))
            await client.emit_actions([{"key": "b", "user_key": "ann"}] * 30)
            await client.identify("ann")
            assert await client.flush(20) == 0
            assert client.stats().delivered == 61

    asyncio.run(main())


def test_hooks_see_each_event_once_however_it_is_emitted(
    run: Run, config: Configure, hanging: SinkProcess
) -> None:
    """Before the client is open, at once, while tasks are in line, and in groups."""
    seen: list[str] = []

    def before_send(event: dict[str, Any]) -> dict[str, Any] | None:
        seen.append(event["user_key"])
        return None if event["user_key"] == "secret" else {**event, "metadata": {"seen": True}}

    async def main() -> None:
        client = AsyncClient(config(**UNLIMITED, before_send=before_send))
        assert not await client.emit_action("early", "secret")
        for number in range(CAPACITY):
            assert await client.emit_action("first", f"user-{number}")
        mark = client.mark()
        tasks = [asyncio.create_task(client.emit_action("late", f"late-{n}")) for n in range(2)]
        await suspended(client, 2)
        tasks.append(asyncio.create_task(client.emit_action("late", "secret")))
        tasks.append(asyncio.create_task(client.identify("identity")))
        actions = [{"key": "group", "user_key": name} for name in ("one", "secret", "two")]
        group = asyncio.create_task(client.emit_actions(actions))
        await suspended(client, 4)
        hanging.clear_faults()
        assert await asyncio.gather(*tasks) == [True, True, False, True]
        assert (await group).dropped == 1
        assert await client.flush(30) == 0
        stats = client.stats()
        assert stats.dropped == {"before_send": 3}
        assert stats.balanced
        assert mark.outcome().dropped == 1
        await client.aclose()

    run(main())
    users = [*(f"user-{n}" for n in range(CAPACITY)), "late-0", "late-1", "identity", "one", "two"]
    assert sorted(seen) == sorted([*users, "secret", "secret", "secret"])
    assert all(event["metadata"] == {"seen": True} for event in hanging.events(limit=1000))
