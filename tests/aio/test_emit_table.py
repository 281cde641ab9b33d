"""The rows of a table arrive through the asyncio client, and its loop continues to run."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dataart_mp import (
    BufferFullError,
    ClosedError,
    Emitted,
    RowsError,
    TableError,
    context,
    lit,
)
from dataart_mp.aio import AsyncClient
from dataart_mp.devsink.process import SinkProcess
from tests.aio.conftest import Run
from tests.aio.test_client import UNLIMITED, suspended
from tests.client.tools import TINY
from tests.support import Configure

pyarrow = pytest.importorskip("pyarrow")

COLUMNS: dict[str, Any] = {"key": lit("tick"), "user_key": lit("ann")}


def ticks(count: int) -> Any:
    return pyarrow.table({"_id": range(count)})


def test_all_rows_arrive_while_other_tasks_run(
    run: Run, config: Configure, sink: SinkProcess
) -> None:
    seen: list[int] = []

    async def main() -> None:
        async with AsyncClient(config(flush_actions_batch_size=500)) as client:
            turns = 0

            async def other() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            task = asyncio.ensure_future(other())
            table = ticks(10_003)
            assert await client.emit_table(table, **COLUMNS, progress=seen.append) == (10_003, 0)
            task.cancel()
            assert turns > 10
            assert await client.emit_table(ticks(0), **COLUMNS) == Emitted(0)
            assert await client.flush(30) == 0

    run(main())
    assert seen == [4096, 8192, 10_003]
    assert sink.ids() == dict.fromkeys(range(10_003), 1)


def test_a_full_buffer_suspends_the_task_and_cancelling_it_loses_no_row_that_was_counted(
    run: Run, config: Configure, sink: SinkProcess
) -> None:
    async def main() -> None:
        async with AsyncClient(config(**UNLIMITED)) as client:
            table = ticks(300)
            for _ in range(5):
                seen = [0]
                sink.set_faults({"kind": "hang"})
                call = client.emit_table(table, **COLUMNS, progress=seen.append)
                task = asyncio.ensure_future(call)
                await suspended(client, 1)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                sink.clear_faults()
                table = table.slice(seen[-1])
                assert client.stats().accepted == 300 - table.num_rows
            assert await client.emit_table(table, **COLUMNS) == (table.num_rows, 0)
            assert await client.flush(20) == 0

    run(main())
    assert sink.ids() == dict.fromkeys(range(300), 1)


def test_rows_that_cannot_be_sent_are_named_and_the_others_arrive(
    config: Configure, sink: SinkProcess
) -> None:
    users = [None if number in (3, 4500) else "ann" for number in range(5000)]
    table = ticks(5000).append_column("user", [users])

    async def main() -> None:
        async with AsyncClient(config()) as client:
            with pytest.raises(RowsError) as caught:
                await client.emit_table(table, key=lit("tick"), user_key="user")
            assert [(one.row, one.column) for one in caught.value.errors] == [
                (3, "user"),
                (4500, "user"),
            ]
            with pytest.raises(TableError, match="no column 'users'"):
                await client.emit_table(table, key=lit("tick"), user_key="users")
            assert await client.flush(20) == 0
        with pytest.raises(ClosedError):
            await client.emit_table(table, **COLUMNS)

    asyncio.run(main())
    assert len(sink.ids()) == 4998


def test_overflow_decides_about_rows_without_room(config: Configure, hanging: SinkProcess) -> None:
    async def emit(overflow: str, **settings: Any) -> AsyncClient:
        client = AsyncClient(config(**TINY, overflow=overflow, **settings))
        if overflow == "drop":
            emitted = await client.emit_table(ticks(50), **COLUMNS)
            assert (emitted.accepted, client.stats().total_dropped) == (50, emitted.dropped)
        else:
            seen: list[int] = []
            with pytest.raises(BufferFullError) as error:
                await client.emit_table(ticks(50), **COLUMNS, progress=seen.append)
            assert [error.value.row] == seen == [client.stats().accepted]
        return client

    async def main() -> None:
        clients = [
            await emit("drop"),
            await emit("raise"),
            await emit("block", block_timeout=0.1),
        ]
        hanging.clear_faults()
        for client in clients:
            await client.aclose(20)

    asyncio.run(main())


def test_rows_pass_the_hooks_once_and_get_what_the_task_has_bound(
    run: Run, config: Configure, hanging: SinkProcess
) -> None:
    seen: list[int] = []

    def before_send(event: dict[str, Any]) -> dict[str, Any] | None:
        number = event["metadata"]["_id"]
        seen.append(number)
        return None if number % 3 == 0 else event

    async def main() -> None:
        async with AsyncClient(config(**UNLIMITED, before_send=before_send)) as client:
            with context.bind(request="r-1"):
                task = asyncio.ensure_future(client.emit_table(ticks(60), **COLUMNS))
                await suspended(client, 1)
                hanging.clear_faults()
                assert await task == (60, 20)
            assert await client.flush(20) == 0

    run(main())
    assert seen == list(range(60))
    arrived = [event["metadata"] for event in hanging.events(limit=1000)]
    assert sorted(each["_id"] for each in arrived) == [n for n in range(60) if n % 3]
    assert {each["request"] for each in arrived} == {"r-1"}


def test_with_spool_sync_batch_another_thread_appends_with_the_context_of_the_task(
    config: Configure, sink: SinkProcess, tmp_path: Path
) -> None:
    async def main() -> None:
        settings = {**TINY, "spool_dir": tmp_path, "spool_sync": "batch"}
        async with AsyncClient(config(**settings)) as client:
            with context.bind(request="r-1"):
                assert await client.emit_table(ticks(30), **COLUMNS) == (30, 0)
                actions = ({"key": "a", "user_key": str(number)} for number in range(30))
                assert await client.emit_actions(actions) == (30, 0)
            assert await client.flush(20) == 0

    asyncio.run(main())
    metadata = [event["metadata"] for event in sink.events(limit=1000)]
    assert [each["request"] for each in metadata] == ["r-1"] * 60
