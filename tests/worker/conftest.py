"""Fixtures of the tests of a worker."""

from collections.abc import Iterator
from typing import Any

import pytest

from dataart_mp.devsink.process import SinkProcess
from tests.transport.servers import SenderTo
from tests.worker.workbench import MakeWorkbench, Workbench


@pytest.fixture(params=[False, True], ids=["waits", "driven"])
def workbench(
    request: pytest.FixtureRequest, platform: SinkProcess, sender_to: SenderTo
) -> Iterator[MakeWorkbench]:
    """Makes workbenches whose shippers send to the sink, or to another URL.

    Each test runs with a thread that waits for each response, and with a loop.
    """
    made: list[Workbench] = []

    def make(url: str | None = None, **options: Any) -> Workbench:
        made.append(Workbench(sender_to(url or platform.url), driven=request.param, **options))
        return made[-1]

    yield make
    for each in made:
        assert each.queue.stats().balanced
        each.close()
