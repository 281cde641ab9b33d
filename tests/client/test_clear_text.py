"""A client warns when its API key is sent unencrypted."""

import pytest

from dataart_mp import Client, ClientConfig


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_http_to_this_machine_does_not_warn(host: str) -> None:
    Client(ClientConfig("k", base_url=f"http://{host}:9")).close()


def test_http_to_another_machine_warns_that_the_key_is_sent_unencrypted() -> None:
    config = ClientConfig("secret-key", base_url="http://platform.invalid/prefix")
    with pytest.warns(UserWarning, match="unencrypted; use https") as caught:
        Client(config).close()
    assert "secret-key" not in str(caught[0].message)
    assert caught[0].filename == __file__
    Client(ClientConfig("k", base_url="https://platform.invalid")).close()
