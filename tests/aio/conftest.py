"""Fixtures for tests of the asyncio client: each runs under asyncio and under uvloop."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop

from dataart_mp.devsink.process import SinkProcess

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def _run_uvloop(main: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


@pytest.fixture(params=[asyncio.run, _run_uvloop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine in a new event loop."""
    run: Run = request.param
    return run


@pytest.fixture(scope="package")
def shared_sink() -> Iterator[SinkProcess]:
    with SinkProcess() as process:
        yield process
        process.kill()


@pytest.fixture
def sink(shared_sink: SinkProcess) -> SinkProcess:
    """One sink for all these tests, emptied before each: to start one takes half a second."""
    shared_sink.clear_faults()
    shared_sink.reset()
    return shared_sink


@pytest.fixture
def hanging(sink: SinkProcess) -> SinkProcess:
    """A sink that does not respond until its faults are cleared."""
    sink.set_faults({"kind": "hang"})
    return sink
