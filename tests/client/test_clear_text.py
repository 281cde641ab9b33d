"""A key that travels unencrypted is not a thing to be silent about."""

import pytest

from dataart_mp import Client, ClientConfig


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_http_to_this_machine_is_nothing_to_warn_of(host: str) -> None:
    Client(ClientConfig("k", base_url=f"http://{host}:9")).close()


def test_http_to_another_machine_warns_that_the_key_travels_in_the_clear() -> None:
    config = ClientConfig("secret-key", base_url="http://platform.invalid/prefix")
    with pytest.warns(UserWarning, match="unencrypted; use https") as caught:
        Client(config).close()
    assert "secret-key" not in str(caught[0].message)
    assert caught[0].filename == __file__
    Client(ClientConfig("k", base_url="https://platform.invalid")).close()
