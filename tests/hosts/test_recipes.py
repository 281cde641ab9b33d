"""The recipes of the documentation run in their hosts, and their events arrive."""

import importlib.util
import json
import os
import subprocess
import sys
import time
import types
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pluggy
import pytest

from dataart_mp.devsink.process import SinkProcess
from dataart_mp.testing import RecordingClient
from tests.hosts.host import SECONDS, Host, StartHost
from tests.ship.visits import visits
from tests.support import environment

RECIPES = Path(__file__).parents[2] / "docs/recipes"


@pytest.fixture
def recipe(host: StartHost, platform: SinkProcess) -> Any:
    """Starts a command in a folder with a recipe, which ships to the sink."""

    def start(
        name: str, *command: object, files: dict[str, str] | None = None, **more: Any
    ) -> Host:
        texts = {name: (RECIPES / name).read_text(), **(files or {})}
        settings = {
            "DATAART_API_KEY": "key",
            "DATAART_BASE_URL": platform.url,
            "DATAART_FLUSH_INTERVAL": "0.3",
        }
        return host(texts, sys.executable, *command, **settings, **more)

    return start


def post(host: Host, song: int) -> bool:
    """Return whether the host has responded to a request to play a song."""
    url = f"http://127.0.0.1:{host.port}/plays/{song}?user=ann"
    request = urllib.request.Request(url, b"", {"X-Request-Id": f"r-{song}"})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            return bool(json.load(response) == {"song": song})
    except OSError:
        return False


def songs(platform: SinkProcess) -> Counter[int]:
    return Counter(event["metadata"]["song"] for event in platform.events(key="song-played"))


def check_songs(host: Host, count: int) -> None:
    """Play songs, stop the host, and check that each song has arrived once."""
    host.until(lambda: post(host, 0), "a response")
    assert all(post(host, song) for song in range(1, count))
    assert host.stop() == 0
    host.until(lambda: len(songs(host.sink)) == count, "all songs")
    assert songs(host.sink) == Counter(range(count))


GUNICORN = ("-m", "gunicorn", "--workers", "2", "--graceful-timeout", "5", "--bind")


def test_flask_under_gunicorn(recipe: Any, port: int, platform: SinkProcess) -> None:
    pytest.importorskip("flask")
    arguments = (*GUNICORN, f"127.0.0.1:{port}", "--preload", "flask_app:app")
    server = recipe("flask_app.py", *arguments, port=port)
    server.until(lambda: post(server, 99), "a response")
    for _ in range(4):  # each worker responds to some of them, and reports the same
        time.sleep(0.1)
        assert "dataart_mp_accepted_total 1.0" in str(server.get("/metrics"))
    server.until(lambda: songs(platform)[99] == 1, "the first song", 30)
    platform.reset()
    check_songs(server, 20)
    for event in platform.events():
        assert event["metadata"]["request_id"] == f"r-{event['metadata']['song']}"


def test_django_under_gunicorn(recipe: Any, port: int, platform: SinkProcess) -> None:
    pytest.importorskip("django")
    server = recipe("django_app.py", *GUNICORN, f"127.0.0.1:{port}", "django_app", port=port)
    check_songs(server, 20)
    for event in platform.events():
        assert event["metadata"]["request_id"] == f"r-{event['metadata']['song']}"


def test_fastapi_with_a_lifespan(recipe: Any, port: int) -> None:
    pytest.importorskip("fastapi")
    server = recipe(
        "fastapi_app.py", "-m", "uvicorn", "--port", port, "--workers", 2, "fastapi_app:app",
        port=port,
    )  # fmt: skip
    check_songs(server, 20)


CELERY_CONFIG = """
broker_url = "filesystem://"
broker_transport_options = {"data_folder_in": "messages", "data_folder_out": "messages",
                            "control_folder": "control", "polling_interval": 0.05}
broker_connection_retry_on_startup = True
"""


def test_celery(recipe: Any, tmp_path: Path, platform: SinkProcess) -> None:
    pytest.importorskip("celery")
    for folder in ("messages", "control"):
        (tmp_path / folder).mkdir()
    # Before the worker starts: this broker may read a message that is not written completely yet.
    (tmp_path / "shop_config.py").write_text(CELERY_CONFIG)
    send = "from celery_app import play\nfor song in range(20): play.delay(song, 'ann')"
    settings = {"DATAART_API_KEY": "key", "DATAART_BASE_URL": platform.url}
    python_path = {"PYTHONPATH": str(RECIPES), "CELERY_CONFIG_MODULE": "shop_config"}
    subprocess.run(
        [sys.executable, "-c", send],
        cwd=tmp_path,
        env={**os.environ, **settings, **python_path},
        timeout=30,
        check=True,
    )
    worker = recipe(
        "celery_app.py",
        *(
            "-m",
            "celery",
            "--app",
            "celery_app",
            "worker",
            "--concurrency",
            2,
            "--loglevel",
            "INFO",
        ),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        files={"shop_config.py": CELERY_CONFIG},
        CELERY_CONFIG_MODULE="shop_config",
    )
    worker.until(lambda: len(songs(platform)) == 20, "all songs", 30)
    assert worker.stop() == 0
    assert songs(platform) == Counter(range(20))
    tasks = {event["metadata"]["task_id"] for event in platform.events()}
    assert len(tasks) == 20


RUN_NOTEBOOK = """
import json
from pathlib import Path
from jupyter_client.manager import start_new_kernel

manager, client = start_new_kernel(kernel_name="python3")
for cell in json.loads(Path("notebook.ipynb").read_text())["cells"]:
    if cell["cell_type"] == "code":
        reply = client.execute_interactive("".join(cell["source"]), timeout=60)
        assert reply["content"]["status"] == "ok", reply
client.stop_channels()
manager.shutdown_kernel()
"""


def test_a_notebook(recipe: Any, platform: SinkProcess) -> None:
    pytest.importorskip("ipykernel")
    pytest.importorskip("jupyter_client")
    files = {"run.py": RUN_NOTEBOOK}
    server = recipe("notebook.ipynb", "run.py", files=files)
    assert server.check_end(60) == 0, server.log
    assert "accepted 1000 = delivered 1000" in server.log
    assert songs(platform) == Counter(range(1000))


INVOKE = """
import json, sys
from lambda_handler import handler

for line in sys.stdin:
    print(json.dumps(handler(json.loads(line), None)), flush=True)
"""


def test_lambda_with_everything_frozen_after_each_invocation(
    recipe: Any, platform: SinkProcess
) -> None:
    function = recipe(
        "lambda_handler.py", "invoke.py", files={"invoke.py": INVOKE}, stdin=subprocess.PIPE
    )

    def responses() -> list[str]:
        return [line for line in function.log.splitlines() if line.startswith("{")]

    def invoke(song: int) -> int:
        """Invoke the function, which is frozen before and afterwards; return what is pending."""
        function.thaw()
        function.process.stdin.write(json.dumps({"user": "ann", "song": song}).encode() + b"\n")
        function.process.stdin.flush()
        function.until(lambda: len(responses()) == song + 1, "a response", 30)
        function.freeze()
        return int(json.loads(responses()[-1])["pending"])

    for song in range(3):
        assert invoke(song) == 0
        assert songs(platform) == Counter(range(song + 1)), "it has arrived before the freeze"
    platform.set_faults({"kind": "status", "status": 503})
    assert invoke(3) == 1, "pending, and frozen"
    platform.clear_faults()
    time.sleep(0.5)
    assert songs(platform) == Counter(range(3))
    assert invoke(4) == 0
    function.thaw()
    function.process.stdin.close()
    assert function.check_end() == 0
    assert songs(platform) == Counter(range(5))


def test_an_airflow_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow is too large to install for a test; its listeners are hooks of pluggy."""
    listeners = types.ModuleType("airflow.listeners")
    plugins = types.ModuleType("airflow.plugins_manager")
    vars(listeners)["hookimpl"] = pluggy.HookimplMarker("airflow")
    vars(plugins)["AirflowPlugin"] = object
    for module in (types.ModuleType("airflow"), listeners, plugins):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv("DATAART_API_KEY", "key")
    spec = importlib.util.spec_from_file_location("listener", RECIPES / "airflow_listener.py")
    assert spec is not None
    assert spec.loader is not None
    listener = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "listener", listener)
    spec.loader.exec_module(listener)
    listener.client.close()
    client = RecordingClient()
    monkeypatch.setattr(listener, "client", client)
    manager = pluggy.PluginManager("airflow")
    for registered in listener.DataArtPlugin.listeners:
        manager.register(registered)
    task = types.SimpleNamespace(task_id="load", run_id="r1", try_number=2, dag_id="flights")
    manager.hook.on_task_instance_success(previous_state=None, task_instance=task)
    manager.hook.on_task_instance_failed(
        previous_state=None, task_instance=task, error=ValueError("x")
    )
    run = {"task": "load", "run": "r1", "attempt": 2}
    client.assert_emitted("task-succeeded", user_key="flights", metadata=run)
    client.assert_emitted("task-failed", metadata={**run, "error": "ValueError('x')"})


@pytest.mark.parametrize(
    ("name", "package", "files"),
    [("dask_parts.py", "dask", "/*.parquet"), ("ray_blocks.py", "ray", "")],
)
def test_the_parts_of_a_table_on_an_engine(
    platform: SinkProcess, tmp_path: Path, name: str, package: str, files: str
) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    for number in range(3):
        parquet.write_table(visits(1000, first=number * 1000), tmp_path / f"{number}.parquet")
    done = subprocess.run(
        [sys.executable, RECIPES / name, f"{tmp_path}{files}"],
        env=environment(DATAART_API_KEY="key", DATAART_BASE_URL=platform.url),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "3,000 of 3,000 rows delivered" in done.stdout, done.stderr
    assert sorted(platform.ids()) == [*range(3000)]
    assert platform.stats()["actions"] == 3000


def test_each_recipe_is_listed() -> None:
    page = (RECIPES / "README.md").read_text()
    files = {path.name for path in RECIPES.iterdir()} - {"README.md", "__pycache__"}
    assert [name for name in files if f"]({name})" not in page] == []
