"""Client settings: `ClientConfig` and, within it, `HTTPOptions`."""

from dataart_mp.config.client_config import ClientConfig
from dataart_mp.config.http_options import HTTPOptions

__all__ = ["ClientConfig", "HTTPOptions"]
