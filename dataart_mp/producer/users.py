"""Users: who uses something at the moment, so that the last one releases it.

No Python lock is used here. `append`, `remove` and `pop` of a list are single steps, so a signal
handler, `__del__` and a child that was forked at any moment can call this.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Final

from dataart_mp import clock

_POLL_SECONDS: Final = 0.001


class User:
    """One use of something.

    Args:
        is_call: Whether it is a call in progress, by the thread that creates this object. Else it
            is a background thread, which lasts until it is stopped.
    """

    __slots__ = ("thread",)

    def __init__(self, *, is_call: bool) -> None:
        self.thread = threading.get_ident() if is_call else None


class Users:
    """The present users of something that is released when nobody uses it any more.

    Args:
        release: Is called once, by the last user that leaves after `close`.

    Attributes:
        closed: Whether `close` was called: there should be no new users.
    """

    def __init__(self, release: Callable[[], object]) -> None:
        self._release = release
        self.forget()

    def forget(self) -> None:
        """Forget all users, in a forked child: they are threads of the parent."""
        self.closed = False
        self._users: list[User] = []
        self._permit: list[None] = [None]

    def add(self, user: User) -> None:
        """Add a user. It checks `closed` only after this call."""
        self._users.append(user)

    def remove(self, user: User) -> None:
        """Remove a user; a second call does nothing. The last one releases what they used."""
        with contextlib.suppress(ValueError):
            self._users.remove(user)
        if self.closed and not self._users:
            with contextlib.suppress(IndexError):
                self._permit.pop()
                self._release()

    def close(self) -> None:
        """Let the last user that leaves from now on release what they used."""
        self.closed = True

    def await_calls(self, seconds: float) -> bool:
        """Wait until the calls of other threads have left; False if that takes too long.

        Args:
            seconds: The longest wait.
        """
        deadline = clock.monotonic() + seconds
        own = (None, threading.get_ident())
        while any(user.thread not in own for user in self._users.copy()):
            if clock.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True
