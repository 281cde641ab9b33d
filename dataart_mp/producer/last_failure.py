"""Why there is no room in the buffer: what the workers say of the platform."""

import re
from datetime import datetime
from typing import Final

from dataart_mp.queue.status import Status

_STATUS: Final = re.compile(r"status (\d+)")
_NO_RESPONSE: Final = "no response"


class LastFailure:
    """Why requests fail at present, and since when. Any process of the client can ask.

    Args:
        status: What the workers of the client say.
    """

    def __init__(self, status: Status) -> None:
        self._status = status

    def __str__(self) -> str:
        """Describe the failure, such as "the platform answers 503 (since 14:02:11)"."""
        deliveries = (self._status.delivery(is_identity) for is_identity in (False, True))
        times = [each.failing_since for each in deliveries if each.failing_since]
        if not times:
            return "events arrive faster than the platform accepts them"
        since = datetime.fromtimestamp(min(times) / 1e9)  # noqa: DTZ006 - as a log shows it
        return f"the platform {self._problem()} (since {since:%H:%M:%S})"

    def _problem(self) -> str:
        error = self._status.error
        text = "" if error is None else error.text
        answer = _STATUS.match(text)
        if answer is not None:
            return f"answers {answer[1]}"
        return "does not respond" if text.startswith(_NO_RESPONSE) else "accepts nothing"
