"""The engine: the queue, the threads and the workers behind a client, in one process."""

import time
from collections.abc import Sequence
from multiprocessing import reduction
from typing import Any, Final

from dataart_mp.config import ClientConfig
from dataart_mp.producer.listener import Listener
from dataart_mp.producer.watch import Watch
from dataart_mp.queue import RecordQueue
from dataart_mp.supervision.supervisor import Supervisor
from dataart_mp.supervision.wiring import Wiring

# How long `stop` waits for the threads, for workers to leave, and for the last `on_failure`.
_STOP_SECONDS: Final = 2.0


class Engine:
    """Starts nothing before the first event, and in a forked child starts anew.

    It is the queue's companion: the queue calls it before a process opens its first lane, and
    after a fork.

    Args:
        config: the client's.
        queue: where its records go.
        wiring: what ties it to the workers.
    """

    def __init__(self, config: ClientConfig, queue: RecordQueue, wiring: Wiring) -> None:
        self.queue = queue
        self._config = config
        self._wiring = wiring
        self._supervisor = Supervisor(queue, wiring, config)
        self._watch: Watch | None = None
        self._listener: Listener | None = None
        queue.companion = self

    @classmethod
    def make(cls, config: ClientConfig, capacity: int) -> "Engine":
        """A new queue, nobody at work on it yet.

        Args:
            config: the client's.
            capacity: bytes of records that a frame holds.
        """
        queue = RecordQueue(
            config.flush_buffer_size,
            capacity,
            records=config.flush_actions_batch_size,
            interval=config.flush_interval,
        )
        return cls(config, queue, Wiring.lay())

    @classmethod
    def inherit(cls, config: ClientConfig, descriptors: tuple[Any, Sequence[Any]]) -> "Engine":
        """The engine of a spawned child, from what `descriptors` gave."""
        queue, ends = descriptors
        life_end, life, report = (end.detach() for end in ends)
        return cls(config, queue, Wiring(life_end, life, -1, report))

    def descriptors(self) -> tuple[RecordQueue, Sequence[Any]]:
        """What a child that is being spawned inherits."""
        wiring = self._wiring
        ends = (wiring.life_end, wiring.life, wiring.report)
        return self.queue, [reduction.DupFd(end) for end in ends]

    @property
    def error(self) -> str | None:
        """Why no worker can be started; None when there are some, or may be."""
        return self._supervisor.error if self._supervisor.hopeless() else None

    def workers(self) -> list[int]:
        """The process ids of the workers that live, whichever process started them."""
        return self._supervisor.workers()

    def attend(self) -> None:
        """This process is about to emit: see to it that somebody delivers, and seals in time."""
        if self._wiring.report_end >= 0:
            self._listener = Listener(self._wiring.report_end, self._config.on_failure)
        self._supervisor.secure(time.monotonic())
        self._watch = Watch(self.queue, self._supervisor)
        self._watch.start()

    def forked(self) -> None:
        """Rebuild what a fork breaks; the threads, and the workers' reports, are the parent's."""
        if self._watch is not None:
            self._watch.forget()
            self._watch = None
        if self._listener is not None:
            self._listener.forget()
            self._listener = None
        self._wiring.stop_reading()
        self._supervisor.forked()

    def hopeless(self) -> bool:
        """Whether no worker can be started."""
        return self._supervisor.hopeless()

    def stop(self, *, wait: bool) -> None:
        """Leave the rest to the workers, and close what this process holds.

        Args:
            wait: whether everything is settled, so that workers that have no one else to serve
                leave at once, and can be waited for.
        """
        stopped = self._watch is None or self._watch.stop(_STOP_SECONDS)
        self._wiring.hang_up()
        if wait and stopped:
            self._supervisor.await_departure(_STOP_SECONDS)
        if self._listener is not None and not self._listener.stop(_STOP_SECONDS):
            stopped = False
        self._supervisor.dismiss()
        self.queue.close()
        if stopped:  # else a thread still looks at them
            self._wiring.cut()
