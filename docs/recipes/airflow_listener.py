"""An Airflow listener that emits an action for each task that ends; put it into `plugins/`.

Airflow runs each task in a process that it may kill afterwards. An action that was emitted is
delivered nevertheless, so the listener does not wait for the delivery.
"""

import sys

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from dataart_mp import Client, ClientConfig

client = Client(ClientConfig.from_env(overflow="drop"))  # a full buffer never delays a task


@hookimpl
def on_task_instance_success(previous_state, task_instance):
    """Emit an action for a task that succeeded."""
    _emit("task-succeeded", task_instance)


@hookimpl
def on_task_instance_failed(previous_state, task_instance, error):
    """Emit an action for a task that failed."""
    _emit("task-failed", task_instance, error=None if error is None else repr(error))


def _emit(key, task, **more):
    metadata = {"task": task.task_id, "run": task.run_id, "attempt": task.try_number, **more}
    client.emit_action(key, task.dag_id, metadata=metadata)


class DataArtPlugin(AirflowPlugin):
    """Registers this module as a listener."""

    name = "dataart_mp"
    listeners = [sys.modules[__name__]]  # noqa: RUF012 - as Airflow wants it
