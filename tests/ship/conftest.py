"""Fixtures: settings that ship to a sink with short waits."""

from typing import Any

import pytest

from dataart_mp import ClientConfig
from dataart_mp.devsink.process import SinkProcess
from tests.ship.visits import Configure, settings_for


@pytest.fixture
def settings(platform: SinkProcess) -> Configure:
    """Makes settings for the sink `platform`."""

    def make(config: dict[str, Any] | None = None, **given: Any) -> Any:
        http: dict[str, Any] = {"api_key": "test-key", "base_url": platform.url}
        waits = {"flush_backoff_ratio": 0.02, "backoff_jitter": False}
        return settings_for(ClientConfig(**{**http, **waits, **(config or {})}), **given)

    return make
