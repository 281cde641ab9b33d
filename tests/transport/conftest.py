"""Fixtures of the tests of HTTP."""

from pathlib import Path

import pytest
import trustme

from dataart_mp.transport.sender import Sender
from tests.transport.driven import DrivenSender


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """The certificate of the private authority, as a file."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture(params=[Sender, DrivenSender], ids=["waits", "driven"])
def sender_class(request: pytest.FixtureRequest) -> type[Sender]:
    """Each test of HTTP runs with senders that wait, and with connections that are driven."""
    chosen: type[Sender] = request.param
    return chosen
