"""Many actions in one call arrive as if each had been emitted alone."""

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from dataart_mp import ActionsError, BufferFullError, Client, ClientConfig, ClosedError, Emitted
from dataart_mp.devsink.process import SinkProcess
from tests.client.tools import TINY
from tests.support import App, Configure, wait_until


def ticks(*numbers: int) -> list[dict[str, Any]]:
    return [{"key": "tick", "user_key": "ann", "metadata": {"_id": number}} for number in numbers]


def test_many_actions_arrive_in_full_batches(config: Configure, sink: SinkProcess) -> None:
    with Client(config(flush_actions_batch_size=7, flush_max_batch_size=7)) as client:
        assert client.emit_action("first", "ann")
        assert client.emit_actions(iter(ticks(*range(699)))) == Emitted(accepted=699)
        assert client.flush(20) == 0
        assert client.stats().delivered == 700
    assert [request["count"] for request in sink.requests()] == [7] * 100
    assert sink.ids() == dict.fromkeys(range(699), 1)


def test_an_invalid_action_among_many_is_named_and_the_others_arrive(
    client: Client, sink: SinkProcess
) -> None:
    actions = ticks(*range(60))
    actions[3]["metadata"] = {"_id": 3, "price": b"x"}
    actions[5]["metadata"] = {"_id": 5, "text": "x" * 200_000}
    with pytest.raises(ActionsError, match=r"^actions\[3\]\.metadata\.price: bytes") as caught:
        client.emit_actions(actions)
    assert "actions[5]: the event takes 200," in str(caught.value.errors[1])
    assert caught.value.accepted == 58
    assert client.flush(20) == 0
    assert sorted(sink.ids()) == [n for n in range(60) if n not in (3, 5)]


def test_many_actions_wait_until_a_frame_is_free(config: Configure, hanging: SinkProcess) -> None:
    with Client(config(**TINY)) as client:
        done: list[Emitted] = []
        thread = threading.Thread(
            target=lambda: done.append(client.emit_actions(ticks(*range(50))))
        )
        thread.start()
        wait_until(lambda: hanging.stats()["in_flight"] == 3)
        assert done == []
        hanging.clear_faults()
        thread.join(20)
        assert done == [Emitted(50)]
        assert client.flush(20) == 0
        assert client.stats().delivered == 50


def test_many_actions_are_dropped_and_counted_when_the_buffer_is_full(
    config: Configure, hanging: SinkProcess
) -> None:
    with Client(config(**TINY, overflow="drop")) as client:
        assert client.emit_actions(ticks(*range(50))) == Emitted(accepted=50, dropped=44)
        assert client.stats().dropped == {"buffer full": 44}
        hanging.clear_faults()
        assert client.flush(20) == 0
        assert client.emit_actions(ticks(*range(50, 53))).accepted == 3


def test_accepted_summed_over_all_calls_is_that_of_stats_with_drops_included(
    config: Configure, hanging: SinkProcess
) -> None:
    with Client(config(**TINY, overflow="drop")) as client:
        emitted = [client.emit_actions(ticks(*range(first, first + 20))) for first in (0, 20)]
        with pytest.raises(ActionsError) as caught:
            client.emit_actions([*ticks(*range(40, 50)), {"key": ""}])
        emitted.append(Emitted(caught.value.accepted, caught.value.dropped))
        stats = client.stats()
        assert sum(each.accepted for each in emitted) == stats.accepted == 50
        assert sum(each.dropped for each in emitted) == stats.total_dropped == 44
        hanging.clear_faults()
        assert client.flush(20) == 0
        assert client.stats().delivered == 50 - 44


def test_actions_that_a_full_buffer_refused_can_be_emitted_again(
    config: Configure, hanging: SinkProcess
) -> None:
    with Client(config(**TINY, overflow="raise")) as client:
        actions = iter(ticks(*range(50)))
        with pytest.raises(BufferFullError, match="all 3 frames are in use") as caught:
            client.emit_actions(actions)
        assert caught.value.accepted == 6
        hanging.clear_faults()
        rest = [*caught.value.rest, *actions]
        while rest:
            assert client.flush(20) == 0
            client.emit_actions(rest[:6])
            del rest[:6]
        assert client.flush(20) == 0
    assert hanging.ids() == dict.fromkeys(range(50), 1)


def test_a_closed_client_does_not_read_the_iterable() -> None:
    client = Client(ClientConfig("k", base_url="http://127.0.0.1:9"))
    client.close()
    actions = iter(ticks(1))
    with pytest.raises(ClosedError):
        client.emit_actions(actions)
    assert len([*actions]) == 1


def test_many_actions_outlive_kill_9_right_after_the_call(app: App, sink: SinkProcess) -> None:
    done = app(
        """
import os, signal, sys
from dataart_mp import Client, ClientConfig
client = Client(ClientConfig("k", base_url=sys.argv[1]))
client.emit_actions({"key": "tick", "user_key": "u", "metadata": {"_id": n}} for n in range(999))
os.kill(os.getpid(), signal.SIGKILL)
""",
        sink.url,
    )
    assert done.returncode == -9
    sink.wait_for(lambda stats: stats["distinct_ids"] == 999)
    assert sink.stats()["unexplained_duplicates"] == 0


def test_parent_and_child_both_continue_after_a_fork_while_actions_are_read(
    client: Client, sink: SinkProcess
) -> None:
    """Events that were accepted before the fork are sent by the parent only."""
    children: list[int] = []

    def forking() -> Iterator[dict[str, Any]]:
        yield from ticks(*range(600))
        children.append(os.fork())
        yield from ticks(600 if children[0] else 601)

    try:
        emitted = client.emit_actions(forking())
    finally:
        if children == [0]:
            os._exit(0)
    assert emitted == Emitted(601)
    assert os.waitpid(children[0], 0)[1] == 0
    assert client.flush(20) == 0
    sink.wait_for(lambda stats: stats["distinct_ids"] == 602)
    duplicated = [number for number, times in sink.ids().items() if times > 1]
    assert len(duplicated) < 256, "both emit only what was read but not accepted before the fork"
