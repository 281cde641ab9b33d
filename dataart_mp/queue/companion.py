"""A queue's companion: what provides it with workers, and rebuilds itself after a fork."""

from queue import Full
from typing import Protocol


class AbandonedError(Full):
    """No frame is free and none will be, because no worker can run; the message says why."""


class Companion(Protocol):
    """What provides a queue with workers."""

    def ensure_started(self) -> None:
        """Provide workers: this process is about to open its first frame.

        Raises:
            AbandonedError: Nothing can be put, because no worker can run; perhaps later.
        """

    def forked(self) -> None:
        """Rebuild what a fork breaks: this is a forked child, without the parent's threads."""

    def waiting(self, call: str, seconds: float) -> None:
        """Take notice of a call that waits for a free frame.

        Args:
            call: The name of the method of a client that appends so.
            seconds: How long it has waited.
        """

    def unavailable_reason(self) -> str | None:
        """Return why no worker can run, so that waiting is pointless; None when one can."""


class NoCompanion:
    """The companion of a queue whose user fetches the records."""

    def ensure_started(self) -> None:
        """Do nothing: there is nothing to start."""

    def forked(self) -> None:
        """Do nothing: there is nothing to rebuild."""

    def waiting(self, call: str, seconds: float) -> None:
        """Do nothing: the user knows."""

    def unavailable_reason(self) -> None:
        """Return None: the user may always fetch."""
