"""Marks of a real client: what the platform did with the events before them."""

import multiprocessing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dataart_mp import Client, ClosedError, Outcome
from dataart_mp.devsink.process import SinkProcess
from tests.client.tools import emit
from tests.support import Configure

if TYPE_CHECKING:
    from dataart_mp.queue.mark import Mark


def test_each_window_between_two_marks_has_its_own_outcome(
    config: Configure, sink: SinkProcess
) -> None:
    with Client(config(flush_num_retries=0)) as client:
        marks = [client.mark()]

        def window(*faults: dict[str, object], count: int) -> None:
            sink.set_faults(*faults)
            emit(client, 0, count)
            marks.append(client.mark())
            assert marks[-1].wait(20) == 0

        window(count=45)
        window({"kind": "status", "status": 400}, count=33)
        window({"kind": "status", "status": 500}, count=27)
        sink.clear_faults()
        window(count=50)
        windows = [marks[at + 1].outcome() - marks[at].outcome() for at in range(4)]
        assert windows == [Outcome(), Outcome(rejected=33), Outcome(failed=27), Outcome()]
        assert client.stats().delivered == 95
    assert marks[-1].outcome() == Outcome(rejected=33, failed=27)
    with pytest.raises(ClosedError):
        client.mark()


def test_processes_that_share_a_client_have_their_own_marks(
    config: Configure, sink: SinkProcess
) -> None:
    def child(client: Client) -> None:
        emit(client, 0, 21)
        mark = client.mark()
        assert mark.wait(20) == 0
        assert mark.outcome() == Outcome(rejected=21)

    sink.set_faults({"kind": "status", "status": 400})
    with Client(config()) as client:
        emit(client, 0, 13)
        mark = client.mark()
        process = multiprocessing.get_context("fork").Process(target=child, args=(client,))
        process.start()
        process.join(60)
        assert process.exitcode == 0
        assert mark.wait(20) == 0
        assert mark.outcome() == Outcome(rejected=13)
        assert client.stats().rejected == 34


def test_parked_records_are_settled_and_counted_as_parked(
    config: Configure, sink: SinkProcess, tmp_path: Path
) -> None:
    sink.set_faults({"kind": "status", "status": 503})
    with Client(config(spool_dir=tmp_path, flush_num_retries=0)) as client:
        emit(client, 0, 40)
        mark = client.mark()
        assert mark.wait(20) == 0
        assert mark.outcome() == Outcome(parked=40)
        sink.clear_faults()
        assert client.flush(20) == 0
        assert mark.outcome() == Outcome(parked=40)


def test_a_mark_for_each_thousand_events_costs_little(config: Configure) -> None:
    with Client(config()) as client:
        marks: list[Mark] = []
        for first in range(0, 20_000, 1000):
            emit(client, first, 1000)
            marks.append(client.mark())
        assert marks[-1].wait(30) == 0
        assert [mark.pending() for mark in marks] == [0] * 20
        assert str(marks[-1].outcome()) == "all delivered"
