"""A sink for the sink's own tests, and a client of it; a plugin of the test modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sink_poster import Poster

from dataart_mp.devsink import SinkProcess

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def _witness() -> Iterator[SinkProcess]:
    with SinkProcess() as sink:
        yield sink
        assert sink.log == ""


@pytest.fixture
def witness(_witness: SinkProcess) -> SinkProcess:
    """A sink that has seen nothing yet."""
    _witness.reset()
    return _witness


@pytest.fixture
def poster(witness: SinkProcess) -> Iterator[Poster]:
    """A client of the witness."""
    poster = Poster(witness.url)
    yield poster
    poster.close()
