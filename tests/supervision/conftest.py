"""What tests of supervision share: crews, and modules with a pool factory."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dataart_mp import ClientConfig
from dataart_mp.devsink.process import SinkProcess
from tests.worker.crew import Crew, MakeCrew


@pytest.fixture
def make_crew(platform: SinkProcess) -> Iterator[MakeCrew]:
    """Makes crews with one worker, unless the test asks for more."""
    crews: list[Crew] = []

    def make(**settings: Any) -> Crew:
        defaults = {
            "api_key": "key",
            "base_url": platform.url,
            "flush_num_processes": 1,
            "flush_buffer_size": 8,
        }
        crews.append(Crew(ClientConfig(**{**defaults, **settings})))
        return crews[-1]

    yield make
    for made in crews:
        made.close()


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Writes a module of the application that contains a pool factory."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text: str) -> str:
        (tmp_path / "crew_pools.py").write_text(text)
        return "crew_pools:make"

    return write
