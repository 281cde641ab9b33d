"""An emitter: what a client is for the hot path in C, around a queue without workers."""

from collections.abc import Callable
from typing import Any

import pytest

from dataart_mp import native
from dataart_mp.producer.encoder import encode_action
from dataart_mp.queue import RecordQueue
from tests.queue.internals import idle_writers
from tests.queue.tools import claim_all

needs_c = pytest.mark.skipif(not native.compiled, reason="the hot path in C is not in use")


def _append_in_python(emitter: "Emitter", *arguments: Any, **named: Any) -> bool:
    emitter.in_python += 1
    emitter.queue.producer.append(encode_action(*arguments, **named), timeout=0)
    return True


class Emitter:
    """Emits into a queue in C where that is possible, and counts the other calls.

    Args:
        queue: The queue.

    Attributes:
        in_python: How many actions the Python code has emitted.
    """

    emit: Callable[..., bool] = native.emit_action(_append_in_python)

    def __init__(self, queue: RecordQueue) -> None:
        self.queue = queue
        self._appender = queue.producer.appender
        self.in_python = 0

    def _append_record(self, record: bytes) -> bool:
        self.in_python += 1
        self.queue.producer.append(record, timeout=0)
        return True

    def make_room(self) -> None:
        """Make sure that C finds an open frame with room."""
        writers = idle_writers(self.queue)
        if writers and writers[-1].limit - writers[-1].position > 1 << 16:
            return
        self.queue.producer.seal()
        for frame in claim_all(self.queue):
            self.queue.worker.settle(frame)
        self.queue.work.drain()
        _append_in_python(self, "first", "of the frame")

    def emit_numbered(self, number: int, width: int = 0) -> None:
        """Emit an action whose metadata hold a number, and a text of some width."""
        self.emit(**numbered(number, width))

    def emit_in_python(self, *arguments: Any, **named: Any) -> None:
        """Emit as `emit` does, but not in C."""
        _append_in_python(self, *arguments, **named)

    def emit_bulk(self, actions: list[Any], first: int = 0, now: Any = None) -> int:
        """Emit actions in one call; return how many C has emitted."""
        assert self._appender is not None
        return self._appender.emit_actions(actions, first, now)

    def record_of(self, emit: Callable[[], object]) -> bytes | None:
        """Return what `emit` has appended in C to the open frame; None if C did not do it."""
        (writer,) = idle_writers(self.queue)
        before, in_python = writer.position, self.in_python
        emit()
        if self.in_python > in_python or writer.position == before:
            return None
        return bytes(self.queue.arena.memory[before : writer.position])


def numbered(number: int, width: int = 0) -> dict[str, Any]:
    """Return the arguments of an action whose metadata hold a number, and a text of some width."""
    metadata = {"n": number, "text": "x" * width}
    moment = "2021-05-04T10:11:12Z"
    return {"key": "k", "user_key": "u", "timestamp": moment, "metadata": metadata}
