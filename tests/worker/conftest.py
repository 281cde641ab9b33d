"""Fixtures of the tests of a worker."""

from collections.abc import Iterator
from typing import Any

import pytest

from dataart_mp.devsink.process import SinkProcess
from tests.transport.servers import SenderTo
from tests.worker.workbench import MakeWorkbench, Workbench


@pytest.fixture
def workbench(platform: SinkProcess, sender_to: SenderTo) -> Iterator[MakeWorkbench]:
    """Makes workbenches whose shippers send to the sink, or to another URL."""
    made: list[Workbench] = []

    def make(url: str | None = None, **options: Any) -> Workbench:
        made.append(Workbench(sender_to(url or platform.url), **options))
        return made[-1]

    yield make
    for each in made:
        assert each.queue.stats().balanced
        each.close()
