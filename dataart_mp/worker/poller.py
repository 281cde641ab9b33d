"""The poller: waits until one of many sockets, or a wakeup pipe, is ready.

It is `epoll` on Linux, and what `selectors` chooses elsewhere. `selectors` cannot be used on Linux
because several workers wait for the same wakeup pipe, and only EPOLLEXCLUSIVE wakes one of them
rather than all.
"""

import select
import selectors
import sys
from typing import Final

# More are returned by the next call.
_MOST_AT_ONCE: Final = 256

if sys.platform == "linux":

    class Poller:
        """Waits for any of its descriptors; for one thread."""

        def __init__(self) -> None:
            self._epoll = select.epoll()

        def add(self, fd: int) -> None:
            """Wait for a descriptor to be readable from now on."""
            self._epoll.register(fd, select.EPOLLIN)

        def add_shared(self, fd: int) -> None:
            """Wait for a descriptor that other processes read, too."""
            self._epoll.register(fd, select.EPOLLIN | select.EPOLLEXCLUSIVE)

        def modify(self, fd: int, *, to_write: bool) -> None:
            """Wait for a descriptor to be writable rather than readable, or the reverse."""
            self._epoll.modify(fd, select.EPOLLOUT if to_write else select.EPOLLIN)

        def remove(self, fd: int) -> None:
            """Wait for a descriptor no longer. Call this before it is closed."""
            self._epoll.unregister(fd)

        def wait(self, seconds: float | None) -> list[tuple[int, int]]:
            """Wait at most `seconds` (None: without a limit).

            Returns:
                What is ready, each with what it is ready for.
            """
            return self._epoll.poll(seconds, _MOST_AT_ONCE)

        def close(self) -> None:
            """Close it. The descriptors stay open."""
            self._epoll.close()

else:

    class Poller:
        """Waits for any of its descriptors; for one thread."""

        def __init__(self) -> None:
            self._selector = selectors.DefaultSelector()

        def add(self, fd: int) -> None:
            """Wait for a descriptor to be readable from now on."""
            self._selector.register(fd, selectors.EVENT_READ)

        add_shared = add

        def modify(self, fd: int, *, to_write: bool) -> None:
            """Wait for a descriptor to be writable rather than readable, or the reverse."""
            events = selectors.EVENT_WRITE if to_write else selectors.EVENT_READ
            self._selector.modify(fd, events)

        def remove(self, fd: int) -> None:
            """Wait for a descriptor no longer. Call this before it is closed."""
            self._selector.unregister(fd)

        def wait(self, seconds: float | None) -> list[tuple[int, int]]:
            """Wait at most `seconds` (None: without a limit).

            Returns:
                What is ready, each with what it is ready for.
            """
            return [(key.fd, events) for key, events in self._selector.select(seconds)]

        def close(self) -> None:
            """Close it. The descriptors stay open."""
            self._selector.close()
