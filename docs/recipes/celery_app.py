"""Celery, started with `celery --app celery_app worker`.

The client is created when the module is imported, in the main process; its forked pool processes
share it. The tasks need not flush: what a task has emitted outlives its process. A task that may
run twice (`acks_late`) emits twice; the id of the task shows it.
"""

from celery import Celery, signals

from dataart_mp import Client, ClientConfig, context

app = Celery("shop")
app.config_from_envvar("CELERY_CONFIG_MODULE", silent=True)
client = Client(ClientConfig.from_env())


@signals.task_prerun.connect
def bind_task(task_id: str, **_: object) -> None:
    """Add the id of the task to the metadata of all its actions."""
    context.bind(task_id=task_id)


@signals.task_postrun.connect
def unbind_task(**_: object) -> None:
    """End what `bind_task` has begun: the process is used for other tasks."""
    context.unbind("task_id")


@app.task
def play(song: int, user: str) -> None:
    """Emit an action."""
    client.emit_action("song-played", user, metadata={"song": song})
