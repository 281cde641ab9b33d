"""Fixtures for tests of the client: a platform that does not respond, and a spool."""

from pathlib import Path

import pytest

from dataart_mp.devsink.process import SinkProcess


@pytest.fixture
def hanging(sink: SinkProcess) -> SinkProcess:
    """A sink that does not respond until its faults are cleared."""
    sink.set_faults({"kind": "hang"})
    return sink


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A directory for a spool, which does not exist yet."""
    return tmp_path / "spool"
