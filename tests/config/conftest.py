"""A file that options can name, and a configuration with secrets."""

from pathlib import Path

import pytest

from dataart_mp.config import ClientConfig, HTTPOptions


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    """A readable file that may be named as a certificate or a key."""
    path = tmp_path / "some.pem"
    path.write_text("-----BEGIN CERTIFICATE-----")
    return path


@pytest.fixture
def secretive(pem: Path) -> ClientConfig:
    """A configuration in which each secret is "hunter2"."""
    http = HTTPOptions(
        proxy="http://ann:hunter2@proxy:3128",
        client_cert=pem,
        client_key_password="hunter2",
        headers={"Authorization": "Bearer hunter2"},
    )
    return ClientConfig("hunter2", http=http)
