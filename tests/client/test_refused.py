"""A client that cannot be created leaves nothing behind, and says what to do."""

import errno
import itertools
import mmap
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataart_mp import Client, ClientConfig, ConfigError
from tests.client.tools import emit
from tests.support import Configure, open_descriptors


@pytest.fixture(params=["memory", "spool"])
def settings(request: pytest.FixtureRequest, spool: Path) -> dict[str, Any]:
    return {} if request.param == "memory" else {"spool_dir": spool}


@pytest.fixture
def _nothing_left(settings: dict[str, Any], spool: Path) -> Iterator[None]:
    """Checks that nothing is left: no file, descriptor, thread or mapping."""
    before = (open_descriptors(), threading.active_count(), mappings())
    yield
    assert (open_descriptors(), threading.active_count(), mappings()) == before
    if settings:
        assert [*spool.iterdir()] == []


def mappings() -> int:
    lines = Path("/proc/self/maps").read_text().splitlines()
    return sum("dataart_mp" in line.split("/")[-1] or ".arena" in line for line in lines)


def refusal(config: ClientConfig) -> str:
    """Return the message with which a client is refused; "" if it is not."""
    try:
        client = Client(config)
    except ConfigError as error:
        found = error
    else:
        client.close()
        return ""
    assert found.field == ("spool_dir" if config.spool_dir else None)
    if config.spool_dir:
        assert str(found).startswith(f"spool_dir={config.spool_dir!r}: ")
    return str(found)


@pytest.mark.usefixtures("_nothing_left")
def test_a_lack_of_descriptors_at_any_step(config: Configure, settings: dict[str, Any]) -> None:
    client_config = config(**settings)
    Client(client_config).close()  # imports everything, and creates the directory
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = {int(name) for name in os.listdir("/dev/fd")}  # noqa: PTH208
    free = [number for number in range(64) if number not in taken]
    errors = []
    for limit in itertools.takewhile(lambda number: number < free[-1], free):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        try:
            errors.append(refusal(client_config))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if not errors[-1]:
            break
    assert len(errors) > 5
    assert errors.pop() == "", "at last there are enough"
    assert all("Too many open files" in error and "ulimit -n" in error for error in errors), errors


@pytest.mark.usefixtures("_nothing_left")
@pytest.mark.parametrize(
    ("step", "number", "fix"),
    [
        ("mmap.mmap", errno.ENOMEM, "Cannot allocate memory.*raise the limit of memory"),
        ("os.pwrite", errno.EFBIG, "File too large.*ulimit -f"),
        ("fcntl.lockf", errno.ENOLCK, "No locks available.*choose a directory on a local disk"),
        ("os.pipe", errno.ENFILE, "Too many open files in system.*fs.file-max"),
    ],
)
def test_an_error_of_the_system_names_the_limit_to_raise(
    config: Configure,
    settings: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    number: int,
    fix: str,
) -> None:
    client_config = config(**settings)
    Client(client_config).close()

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(step, fail)
        with pytest.raises(ConfigError, match=fix):
            Client(client_config)


def test_a_spool_with_work_to_take_over_needs_threads(
    config: Configure, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without them nobody would notice when the orphaned arena is delivered."""
    Client(config(spool_dir=spool)).close()
    before = open_descriptors(), threading.active_count()

    def fail(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(ConfigError, match=f"^spool_dir='{spool}': can't start.*ulimit -u"):
            Client(config(spool_dir=spool))
    assert (open_descriptors(), threading.active_count()) == before
    assert [*spool.iterdir()] == []
    with Client(config(spool_dir=spool)) as client:
        emit(client, 0, 1)


def test_a_real_limit_of_memory(config: Configure) -> None:
    """The buffer of 8 GiB is only reserved, but that is what RLIMIT_AS limits."""
    before = open_descriptors()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), limits[1]))
    try:
        message = refusal(config(flush_buffer_size=100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert "Cannot allocate memory; raise the limit of memory" in message
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("given", "shown"),
    [("a-secret-key", "str"), (None, "NoneType"), ({}, "dict"), (ClientConfig, "the class Client")],
)
def test_what_is_not_a_configuration_is_refused_with_the_call_to_make(
    given: Any, shown: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Client(given)

    message = str(caught.value)
    assert message.startswith(f"config: must be a ClientConfig, not {shown}")
    assert "use Client(ClientConfig(api_key=…))" in message
    assert "a-secret-key" not in message
