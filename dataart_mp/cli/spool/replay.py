"""Sends dead letters to the platform again."""

import json
from dataclasses import dataclass

from dataart_mp.cli.input.emitter import Emitter, emit
from dataart_mp.cli.input.event_line import parse_event
from dataart_mp.cli.message import report
from dataart_mp.errors import EventError
from dataart_mp.protocol import DataArtClient
from dataart_mp.spool.dead_letters import DamagedLettersError, Letters
from dataart_mp.table.event import Action, Identity


@dataclass(slots=True)
class Replay:
    """Sends dead letters again, batch by batch, and removes those that are delivered.

    Attributes:
        client: The client that sends them; it has no spool, and no other use during the replay.
        checker: Refuses the same events as the client, and sends nothing.
        delivered: Number of events that were delivered.
        kept: Number of events that were not, or whose batch was not delivered completely; their
            letters remain in the spool.
    """

    client: DataArtClient
    checker: Emitter
    delivered: int = 0
    kept: int = 0

    def send(self, letters: Letters) -> None:
        """Send the letters of one batch; if one of them is invalid, none is sent."""
        try:
            events = self._checked_events(letters)
        except DamagedLettersError as error:  # its message contains the file
            self._keep(letters, str(error))
            return
        except EventError as error:
            self._keep(letters, f"{letters.name}: {error}")
            return
        before = self.client.stats().delivered
        for event in events:
            emit(event, self.client)
        self.client.flush()
        if self.client.stats().delivered - before == len(events):
            letters.remove()
            self.delivered += len(events)
        else:
            self.kept += len(events)

    def _keep(self, letters: Letters, problem: str) -> None:
        """Report letters that somebody has edited or damaged, and leave them in the spool."""
        report(problem)
        self.kept += letters.count

    def _checked_events(self, letters: Letters) -> list[Action | Identity]:
        """Return the events of a batch; the client accepts all of them."""
        events = [parse_event(json.dumps(letter["event"]).encode()) for letter in letters.read()]
        # Before the first event is emitted: an invalid batch is kept, and each replay would send
        # its valid events again.
        for event in events:
            emit(event, self.checker)
        return events
