"""The turn of a task that emits many events, and when it ends."""

import asyncio
from typing import Final

from dataart_mp import clock

STEP_SECONDS: Final = 0.001
"""How long a task appends before other tasks may run."""


class Turn:
    """Lets other tasks run after each millisecond."""

    def __init__(self) -> None:
        self._started = clock.monotonic()

    async def end_if_long(self) -> None:
        """Let other tasks run if this one has run for a millisecond."""
        if clock.monotonic() - self._started > STEP_SECONDS:
            await asyncio.sleep(0)
            self._started = clock.monotonic()
