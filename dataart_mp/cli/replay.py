"""Dead letters on their way to the platform once more."""

import json
from dataclasses import dataclass

from dataart_mp.cli.event import Action, Emitter, Identity, parse_event
from dataart_mp.cli.message import tell
from dataart_mp.errors import EventError
from dataart_mp.protocol import DataArtClient
from dataart_mp.spool.dead_letters import DamagedLettersError, Letters


@dataclass(slots=True)
class Replay:
    """Sends letters again, batch by batch, and removes what was delivered.

    Args:
        client: it must be used for nothing else meanwhile, and keep no dead letters itself.
        rehearsal: refuses what the client would, and sends nothing.

    Attributes:
        delivered: how many events were.
        kept: how many were not, or not with all of their batch: their letters are still there.
    """

    client: DataArtClient
    rehearsal: Emitter
    delivered: int = 0
    kept: int = 0

    def take(self, letters: Letters) -> None:
        """Send the letters of one batch; none of them, if one cannot be sent."""
        try:
            events = self._events(letters)
        except DamagedLettersError as error:  # which names the file
            self._keep(letters, str(error))
            return
        except EventError as error:
            self._keep(letters, f"{letters.name}: {error}")
            return
        before = self.client.stats().delivered
        for event in events:
            event.hand_to(self.client)
        self.client.flush()
        if self.client.stats().delivered - before == len(events):
            letters.remove()
            self.delivered += len(events)
        else:
            self.kept += len(events)

    def _keep(self, letters: Letters, problem: str) -> None:
        """Leave them as somebody has edited them."""
        tell(problem)
        self.kept += letters.count

    def _events(self, letters: Letters) -> list[Action | Identity]:
        """All events of a batch, each of which the client will take."""
        events = [parse_event(json.dumps(letter["event"]).encode()) for letter in letters.read()]
        # Before any is handed over: it could not be taken back, and would be sent each time.
        for event in events:
            event.hand_to(self.rehearsal)
        return events
