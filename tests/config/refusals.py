"""Configurations that are refused, and their errors."""

from typing import Any

import pytest

from dataart_mp.config import ClientConfig, HTTPOptions
from dataart_mp.errors import ConfigError

KEY = "sk-very-secret-key"


def refusal(**settings: Any) -> ConfigError:
    """Return the error that ClientConfig raises for these settings."""
    with pytest.raises(ConfigError) as caught:
        ClientConfig(**{"api_key": KEY, **settings})
    return caught.value


def http_refusal(**options: Any) -> ConfigError:
    """Return the error that HTTPOptions raises for these options."""
    with pytest.raises(ConfigError) as caught:
        HTTPOptions(**options)
    return caught.value
