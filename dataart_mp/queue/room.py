"""Room: how an event loop waits for frames to be settled, without a thread that waits."""

import weakref

from dataart_mp import clock
from dataart_mp.queue.lifetime import Lifetime, Visitor


class Room:
    """A visit of the queue that lasts while an event loop waits; `end` ends it.

    Args:
        lifetime: This process's use of the queue.

    Raises:
        ClosedError: The queue is closed.
    """

    def __init__(self, lifetime: Lifetime) -> None:
        lifetime.check()
        self._lifetime = lifetime
        self._pipe = lifetime.room
        self._visitor: Visitor | None = Visitor()  # the descriptors stay open meanwhile
        lifetime.visitors.append(weakref.ref(self._visitor, lifetime.visitors.remove))
        self._started = clock.monotonic()

    @property
    def fd(self) -> int:
        """The descriptor that becomes readable when a frame was settled; -1 if it is lost."""
        return self._pipe.read_fd if self._pipe.is_readable() else -1

    @property
    def is_closed(self) -> bool:
        """Whether the queue was closed meanwhile."""
        return self._lifetime.closed

    def request(self) -> None:
        """Have workers notify this process within the next second. Repeat it until then.

        Raises:
            ClosedError: The queue was closed meanwhile.
            AbandonedError: No worker can run, so waiting is pointless.
        """
        if self._lifetime.closed:
            raise self._lifetime.closed_error()
        self._lifetime.check_available(self._started)
        self._lifetime.request_notifications()

    def read(self) -> None:
        """Read one notification, which stays in the pipe otherwise; without waiting."""
        self._pipe.wait_at_most(0)

    def end(self) -> None:
        """End the visit. A second call does nothing."""
        self._visitor = None
        self._lifetime.release_if_closed()
