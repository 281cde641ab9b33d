"""Dead letters on their way to the platform once more."""

import json
from dataclasses import dataclass

from dataart_mp.cli.event import parse_event
from dataart_mp.cli.message import tell
from dataart_mp.dead_letters import Letters
from dataart_mp.protocol import DataArtClient


@dataclass(slots=True)
class Replay:
    """Sends letters again, batch by batch, and removes what was delivered.

    Args:
        client: it must be used for nothing else meanwhile, and keep no dead letters itself.

    Attributes:
        delivered: how many events were.
        kept: how many were not, or not with all of their batch: their letters are still there.
    """

    client: DataArtClient
    delivered: int = 0
    kept: int = 0

    def take(self, letters: Letters) -> None:
        """Send the letters of one batch."""
        before = self.client.stats().delivered
        try:
            count = self._emit(letters)
        except (ValueError, KeyError, TypeError) as error:  # somebody has edited them
            tell(f"{letters.name}: {error}")
            self.kept += 1
            return
        self.client.flush()
        if self.client.stats().delivered - before == count:
            letters.remove()
            self.delivered += count
        else:
            self.kept += count

    def _emit(self, letters: Letters) -> int:
        events = [parse_event(json.dumps(letter["event"]).encode()) for letter in letters.read()]
        for event in events:
            event.hand_to(self.client)
        return len(events)
