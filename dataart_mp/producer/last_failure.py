"""What this process knows of an outage, from the reports of its workers."""

from datetime import datetime


class LastFailure:
    """Why requests fail at present, and since when."""

    def __init__(self) -> None:
        self._last: tuple[int | None, datetime] | None = None

    def failed(self, status: int | None, now: datetime) -> None:
        """Record that a request failed.

        Args:
            status: The status of the response; None if there was none.
            now: The time.
        """
        since = now if self._last is None else self._last[1]
        self._last = (status, since)

    def recovered(self) -> None:
        """Record that the platform works again."""
        self._last = None

    def __str__(self) -> str:
        """Describe the failure, such as "the platform answers 503 (since 14:02:11)"."""
        last = self._last  # another thread may change it
        if last is None:
            return "events arrive faster than the platform accepts them"
        status, since = last
        problem = "does not respond" if status is None else f"answers {status}"
        return f"the platform {problem} (since {since:%H:%M:%S})"
