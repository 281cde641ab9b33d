"""The rows of a table arrive as if each had been emitted alone."""

import signal
import threading
from typing import Any

import pytest

from dataart_mp import BufferFullError, Client, ClosedError, Emitted, RowsError, lit
from dataart_mp.devsink.process import SinkProcess
from tests.client.tools import TINY, each_arrived_once
from tests.support import SCRIPT, App, Configure, wait_until

pyarrow = pytest.importorskip("pyarrow")

COLUMNS: dict[str, Any] = {"key": lit("tick"), "user_key": lit("ann")}


def ticks(count: int) -> Any:
    return pyarrow.table({"_id": range(count)})


def test_all_rows_arrive_in_full_batches(config: Configure, sink: SinkProcess) -> None:
    with Client(config(flush_actions_batch_size=7, flush_max_batch_size=7)) as client:
        assert client.emit_table(ticks(20_003), **COLUMNS) == Emitted(20_003)
        assert client.emit_table(ticks(0), **COLUMNS) == Emitted(0)
        assert client.flush(30) == 0
        assert client.stats().delivered == 20_003
    counts = [request["count"] for request in sink.requests()]
    assert set(counts) <= {7, 20_003 % 7}
    assert sink.ids() == dict.fromkeys(range(20_003), 1)


def test_rows_that_cannot_be_sent_are_named_and_the_others_arrive(
    client: Client, sink: SinkProcess
) -> None:
    users = ["ann" if number != 3 else None for number in range(60)]
    texts = ["x" if number != 5 else "x" * 200_000 for number in range(60)]
    table = ticks(60).append_column("user", [users]).append_column("text", [texts])
    with pytest.raises(RowsError) as caught:
        client.emit_table(table, key=lit("tick"), user_key="user")
    assert [one.row for one in caught.value.errors] == [3, 5]
    assert "row 5: the event takes 200," in str(caught.value.errors[1])
    assert caught.value.accepted == 58
    assert client.flush(20) == 0
    assert sorted(sink.ids()) == [n for n in range(60) if n not in (3, 5)]


def test_a_table_waits_until_a_frame_is_free(config: Configure, hanging: SinkProcess) -> None:
    with Client(config(**TINY)) as client:
        done: list[Emitted] = []
        thread = threading.Thread(
            target=lambda: done.append(client.emit_table(ticks(50), **COLUMNS))
        )
        thread.start()
        wait_until(lambda: hanging.stats()["in_flight"] == 3)
        assert done == []
        hanging.clear_faults()
        thread.join(20)
        assert done == [Emitted(50)]
        assert client.flush(20) == 0
        assert client.stats().delivered == 50


def test_a_full_buffer_drops_rows_and_counts_them(config: Configure, hanging: SinkProcess) -> None:
    with Client(config(**TINY, overflow="drop")) as client:
        accepted, dropped = client.emit_table(ticks(50), **COLUMNS)
        assert (accepted, dropped) == (50, 44)
        assert client.stats().total_dropped == 44
        hanging.clear_faults()
        assert client.flush(20) == 0
        assert client.stats().delivered == 6


def test_a_full_buffer_names_the_row_to_continue_with(
    config: Configure, hanging: SinkProcess
) -> None:
    with Client(config(**TINY, overflow="raise")) as client:
        with pytest.raises(BufferFullError) as caught:
            client.emit_table(ticks(50), **COLUMNS)
        assert (caught.value.accepted, caught.value.row) == (6, 6)
        hanging.clear_faults()
        assert client.flush(20) == 0
        table = ticks(50).slice(caught.value.row, 5)
        assert client.emit_table(table, **COLUMNS) == Emitted(5)
        assert client.flush(20) == 0
    assert sorted(hanging.ids()) == [*range(11)]


def test_a_closed_client_refuses_a_table(client: Client) -> None:
    client.close(20)
    with pytest.raises(ClosedError):
        client.emit_table(ticks(1), **COLUMNS)


def test_accepted_rows_outlive_kill_9_right_after_the_call(app: App, sink: SinkProcess) -> None:
    text = """
import pyarrow
from dataart_mp import lit
client = Client(ClientConfig(sys.argv[1], base_url=sys.argv[2], flush_backoff_ratio=0.05))
client.emit_table(pyarrow.table({"_id": range(1000)}), key=lit("tick"), user_key=lit("ann"))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert app(SCRIPT + text, "k", sink.url).returncode == -signal.SIGKILL
    each_arrived_once(sink, 1000)
