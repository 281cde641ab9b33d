"""The contents of a spool: dead letters, and parked batches."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from dataart_mp.cli.message import printable
from dataart_mp.errors import DataArtError
from dataart_mp.spool.dead_letters import DamagedLettersError, DeadLetters, Letters
from dataart_mp.spool.parking_lot import ParkingError, ParkingLot

_SHOWN_FIELDS: Final = ("time", "reason", "status", "kind", "attempts")


class ListingError(DataArtError):
    """A part of the spool cannot be read; the message says which."""


@dataclass(frozen=True)
class Listing:
    """What a spool contains.

    Attributes:
        letters: One JSON object for each request whose events failed permanently, oldest first.
        parked: Number of parked events, requests and bytes, and since when the oldest waits.
    """

    letters: list[dict[str, Any]]
    parked: dict[str, Any]

    @classmethod
    def read(cls, spool_dir: Path) -> Self:
        """Read the spool in a directory; its clients may be running.

        Raises:
            ListingError: The parked batches cannot be read.
        """
        return cls([_entry(letters) for letters in DeadLetters(spool_dir)], _parked(spool_dir))

    @property
    def events(self) -> int:
        """Number of events that failed permanently."""
        return sum(entry["events"] for entry in self.letters)

    def as_json(self) -> dict[str, Any]:
        """Return the listing as a JSON object."""
        return {"events": self.events, "letters": self.letters, "parked": self.parked}

    def __str__(self) -> str:
        """The listing as text: one line for each request, and the totals."""
        lines = [_line(entry) for entry in self.letters]
        lines.append(f"{count_events(self.events)} in {_count_requests(len(self.letters))}.")
        if self.parked["requests"]:
            events = count_events(self.parked["events"])
            requests = _count_requests(self.parked["requests"])
            lines.append(
                f"Parked since {self.parked['since']}: {events} in {requests}, "
                "to be sent when the platform is reachable again."
            )
        return "\n".join(lines)


def count_events(number: int) -> str:
    """Format a number of events."""
    return "1 event" if number == 1 else f"{number:,} events"


def _count_requests(number: int) -> str:
    return "1 request" if number == 1 else f"{number:,} requests"


def _entry(letters: Letters) -> dict[str, Any]:
    first: dict[str, Any] = {}
    damaged = None
    try:
        content = letters.read()
        first = content[0] if content else {}
    except DamagedLettersError as error:
        damaged = str(error)
    shown = {field: first.get(field) for field in _SHOWN_FIELDS}
    return {"name": letters.name, **shown, "events": letters.count, "damaged": damaged}


def _line(entry: dict[str, Any]) -> str:
    if entry["damaged"]:
        return printable("{name}  damaged: {damaged}".format(**entry))
    status = "no answer" if entry["status"] is None else f"status {entry['status']}"
    line = "{name}  {time}  {events:,} {kind}  {reason}".format(**entry)
    return printable(f"{line}, {status}")


def _parked(spool_dir: Path) -> dict[str, Any]:
    lot = ParkingLot(spool_dir, max_bytes=0)
    try:
        batches = lot.batches() if lot.exists else []
    except ParkingError as error:
        raise ListingError(f"parked batches cannot be read: {error}") from error
    finally:
        lot.close()
    since = datetime.fromtimestamp(batches[0].since / 1e9, UTC) if batches else None
    return {
        "events": sum(batch.count for batch in batches),
        "requests": len(batches),
        "bytes": sum(batch.size for batch in batches),
        "since": since and since.isoformat(timespec="seconds"),
    }
