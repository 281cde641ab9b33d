"""The recipe of a consumer that commits its offset after delivery."""

import importlib.util
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dataart_mp import Client
from dataart_mp.devsink import SinkProcess
from tests.support import Configure, environment, wait_until

RECIPE = Path(__file__).parents[2] / "docs/recipes/stream_consumer.py"


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("stream_consumer", RECIPE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def event(number: int) -> dict[str, Any]:
    return {"key": "k", "user_key": "u", "metadata": {"_id": number}}


class MemorySource:
    """A stream in memory, which also records how much the sink had when an offset was committed."""

    def __init__(self, recipe: ModuleType, sink: SinkProcess, events: list[dict[str, Any]]) -> None:
        self._messages = [recipe.Message(one, at + 1) for at, one in enumerate(events)]
        self._sink = sink
        self._given = 0
        self.is_at_end = False
        self.is_open = False
        self.commits: list[tuple[int, int]] = []

    def receive(self) -> Any:
        if self._given == len(self._messages):
            self.is_at_end = not self.is_open
            return None
        self._given += 1
        return self._messages[self._given - 1]

    def commit(self, offset: int) -> None:
        self.commits.append((offset, self._sink.stats()["distinct_ids"]))


def test_an_offset_is_committed_only_after_all_before_it_have_arrived(
    recipe: ModuleType, sink: SinkProcess, config: Configure
) -> None:
    source = MemorySource(recipe, sink, [event(number) for number in range(2500)])

    with Client(config()) as client:
        recipe.consume(source, client)

    assert source.commits[-1] == (2500, 2500)
    assert all(arrived >= offset for offset, arrived in source.commits)


def test_nothing_is_committed_while_the_platform_is_down(
    recipe: ModuleType, sink: SinkProcess, config: Configure
) -> None:
    source = MemorySource(recipe, sink, [event(number) for number in range(250)])
    source.is_open = True  # more may come: the consumer must commit all the same
    sink.set_faults({"kind": "status", "status": 503})
    with Client(config(flush_num_retries=1000)) as client:
        consumer = threading.Thread(target=recipe.consume, args=(source, client))
        consumer.start()
        sink.wait_for(lambda stats: stats["faulted_requests"] >= 2)
        before = list(source.commits)
        sink.clear_faults()
        wait_until(lambda: bool(source.commits) and source.commits[-1][0] == 250)
        source.is_open = False
        consumer.join()

    assert before == []
    assert all(arrived >= offset for offset, arrived in source.commits)


def test_what_could_not_be_delivered_is_not_committed(
    recipe: ModuleType, sink: SinkProcess, config: Configure
) -> None:
    source = MemorySource(recipe, sink, [event(number) for number in range(300)])
    sink.set_faults({"kind": "status", "status": 503})

    with (
        Client(config(flush_num_retries=1)) as client,
        pytest.raises(RuntimeError, match=r"some messages are not delivered: .*failed"),
    ):
        recipe.consume(source, client)

    assert source.commits == []


def test_a_message_that_is_not_an_event_does_not_stop_the_stream(
    recipe: ModuleType, sink: SinkProcess, config: Configure
) -> None:
    events = [event(0), {"key": "", "user_key": "u"}, {"kye": 1}, event(1)]
    source = MemorySource(recipe, sink, events)

    with Client(config()) as client:
        recipe.consume(source, client)

    assert source.commits[-1] == (4, 2)


def test_after_kill_9_the_consumer_continues_and_no_message_is_missing(
    sink: SinkProcess, tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text("".join(f"{json.dumps(event(number))}\n" for number in range(2_000)))
    env = environment(
        DATAART_API_KEY="k",
        DATAART_BASE_URL=sink.url,
        DATAART_FLUSH_BUFFER_SIZE="16",  # so that it cannot be far ahead of the platform
    )
    sink.set_faults({"kind": "latency", "seconds": 0.05})
    first = subprocess.Popen([sys.executable, RECIPE, file], env=env)
    offset = file.with_suffix(".offset")
    wait_until(offset.exists)
    first.send_signal(signal.SIGKILL)
    first.wait()
    committed = int(offset.read_text())
    sink.clear_faults()

    subprocess.run([sys.executable, RECIPE, file], env=env, check=True)

    assert 0 < committed < file.stat().st_size
    assert int(offset.read_text()) == file.stat().st_size
    assert len(sink.ids()) == 2_000
