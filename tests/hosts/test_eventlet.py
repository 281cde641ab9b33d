"""Under eventlet a client is refused at once, whenever the process was patched."""

import importlib.util
import sys

import pytest

from tests.hosts.host import CLIENT, StartHost

# Not imported here: it warns of each fork from then on.
if importlib.util.find_spec("eventlet") is None:
    pytest.skip("eventlet is not installed", allow_module_level=True)
PYTHON = (sys.executable, "-W", "ignore", "app.py")
PATCH = "import eventlet\neventlet.monkey_patch({modules})\n"
REFUSAL = "eventlet.monkey_patch() is active, and dataart_mp does not work with it; use threads or"


@pytest.mark.parametrize(
    "modules", ["", "socket=True", "thread=True", "select=True", "os=True", "time=True"]
)
def test_a_client_of_a_patched_process_is_refused(host: StartHost, modules: str) -> None:
    app = host({"app.py": PATCH.format(modules=modules) + CLIENT}, *PYTHON)
    assert app.process.wait(20) == 1
    assert f"ConfigError: {REFUSAL}" in app.log


def test_a_patch_between_import_and_client_is_noticed(host: StartHost) -> None:
    text = "import dataart_mp.client\n" + PATCH.format(modules="") + CLIENT
    app = host({"app.py": text}, *PYTHON)
    assert app.process.wait(20) == 1
    assert f"ConfigError: {REFUSAL}" in app.log


def test_the_first_event_is_refused_if_the_process_was_patched_since(host: StartHost) -> None:
    """As with gunicorn's eventlet workers under `preload_app`."""
    app = host({"app.py": CLIENT + PATCH.format(modules="") + "emit(0)"}, *PYTHON)
    assert app.process.wait(20) == 1
    assert f"BufferFullError: no worker can deliver events: {REFUSAL}" in app.log


def test_a_client_that_has_started_continues(host: StartHost) -> None:
    """Its threads are real ones."""
    text = "emit(0)\n" + PATCH.format(modules="") + "emit(1)\nassert client.flush(20) == 0\nemit(2)"
    app = host({"app.py": CLIENT + text}, *PYTHON)
    assert app.check_end() == 0
    app.check_arrived(range(3))


def test_eventlet_without_a_patch_does_no_harm(host: StartHost) -> None:
    app = host({"app.py": "import eventlet\n" + CLIENT + "emit(0)"}, *PYTHON)
    assert app.check_end() == 0
    app.check_arrived([0])
