"""Call a function on a separate thread: starting workers, closing, and writing to the disk."""

import asyncio
import concurrent.futures
import contextvars
from collections.abc import Callable
from typing import TypeVar

from dataart_mp.producer import threads

Result = TypeVar("Result")


def begin(function: Callable[[], Result]) -> "concurrent.futures.Future[Result]":
    """Call a function on a new thread, or at once if the interpreter is shutting down.

    It sees the context variables of the caller, such as what `dataart_mp.context` binds.

    Returns:
        Its result or exception, later.
    """
    future: concurrent.futures.Future[Result] = concurrent.futures.Future()
    future.set_running_or_notify_cancel()  # a task that is cancelled does not cancel the call

    context = contextvars.copy_context()

    def work() -> None:
        try:
            result = context.run(function)
        except BaseException as error:  # noqa: BLE001 - the task that awaits it raises it
            future.set_exception(error)
        else:
            future.set_result(result)

    if not threads.start(threads.Thread(work, "asyncio helper")):
        work()
    return future


async def call(function: Callable[[], Result]) -> Result:
    """Call a function on a new thread, and wait for it without blocking the event loop.

    If the task is cancelled meanwhile, the call continues.
    """
    return await result_of(begin(function))


async def complete(function: Callable[[], Result]) -> Result:
    """Call a function on a new thread, and wait until it ends, also if the task is cancelled.

    It is for functions that take some milliseconds. What they have done is known then.
    """
    future = asyncio.wrap_future(begin(function))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise


async def result_of(future: "concurrent.futures.Future[Result]") -> Result:
    """Wait for a call that `begin` has begun."""
    return await asyncio.shield(asyncio.wrap_future(future))
