"""The contents of a spool: dead letters, parked batches, and what is pending in buffers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from dataart_mp.cli.message import printable
from dataart_mp.errors import DataArtError
from dataart_mp.observer import spool_view
from dataart_mp.observer.observer import Observer
from dataart_mp.observer.spool_view import SpoolLook
from dataart_mp.spool.dead_letters import DamagedLettersError, DeadLetters, Letters

_SHOWN_FIELDS: Final = ("time", "reason", "status", "answer", "kind", "attempts")
_WIDTH: Final = 80
_HEADER: Final = f"{'TIME (UTC)':<19}  {'EVENTS':>7}  {'KIND':<8}  {'STATUS':<6}  REASON"
_MINUTES: Final = 19  # the characters of a time up to its seconds


class ListingError(DataArtError):
    """A part of the spool cannot be read; the message says which."""


@dataclass(frozen=True)
class Listing:
    """What a spool contains.

    Attributes:
        letters: One JSON object for each request whose events failed permanently, oldest first.
        parked: Number of parked events, requests and bytes, and since when the oldest waits.
        pending: Number of events that are pending in buffers, how many clients have some, and how
            many of these have ended.
    """

    letters: list[dict[str, Any]]
    parked: dict[str, Any]
    pending: dict[str, int]

    @classmethod
    def read(cls, spool_dir: Path) -> Self:
        """Read the spool in a directory; its clients may be running.

        Raises:
            ListingError: The parked batches, or a buffer, cannot be read.
        """
        letters = [_entry(letters) for letters in DeadLetters(spool_dir)]
        return cls(letters, _parked(spool_view.look(spool_dir)), _pending(spool_dir))

    @property
    def events(self) -> int:
        """Number of events that failed permanently."""
        return sum(entry["events"] for entry in self.letters)

    def as_json(self) -> dict[str, Any]:
        """Return the listing as a JSON object."""
        return {
            "events": self.events,
            "letters": self.letters,
            "parked": self.parked,
            "pending": self.pending,
        }

    def __str__(self) -> str:
        """The listing as text: three lines for each request at most, and the totals."""
        lines = [_HEADER] if self.letters else []
        for entry in self.letters:
            lines += _lines(entry)
        total = f"{count_events(self.events)} in {_count_requests(len(self.letters))}."
        lines.append(total if self.letters else "No dead letters.")
        if self.parked["requests"]:
            events = count_events(self.parked["events"])
            requests = _count_requests(self.parked["requests"])
            lines.append(
                f"Parked since {self.parked['since']}: {events} in {requests},\n"
                "to be sent when the platform is reachable again."
            )
        if self.pending["events"]:
            lines.append(self._pending_line())
        return "\n".join(lines)

    def _pending_line(self) -> str:
        clients, ended = self.pending["clients"], self.pending["ended"]
        noun = "client" if clients == 1 else "clients"
        line = f"Pending: {count_events(self.pending['events'])} of {clients} {noun}"
        if not ended:
            return f"{line}."
        return f"{line}, {ended} of which ended;\nthe next client, or dataart-mp agent, sends them."


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


def _lines(entry: dict[str, Any]) -> list[str]:
    """Return what happened to one request; then, indented, its name and the response."""
    name = printable(f"  {entry['name']}")
    if entry["damaged"]:
        return [printable(f"{name}  damaged: {entry['damaged']}")]
    time = str(entry["time"] or "")[:_MINUTES].replace("T", " ")
    status = "none" if entry["status"] is None else entry["status"]
    kind, reason = entry["kind"] or "", entry["reason"] or ""
    first = printable(f"{time:<19}  {entry['events']:>7,}  {kind:<8}  {status!s:<6}  {reason}")
    return [_cut(first.rstrip()), name, *_response(entry["answer"])]


def _response(answer: object) -> list[str]:
    text = printable(str(answer or ""))
    return [_cut(f"  {text}")] if text else []


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


def _parked(look: SpoolLook) -> dict[str, Any]:
    if look.error is not None:
        raise ListingError(look.error)
    return {
        "events": look.parked,
        "requests": look.parked_requests,
        "bytes": look.parked_bytes,
        "since": look.parked_since and look.parked_since.isoformat(timespec="seconds"),
    }


def _pending(spool_dir: Path) -> dict[str, int]:
    with Observer(spool_dir=spool_dir) as observer:
        clients = [look for look in observer.clients() if look.stats.pending > 0]
        if observer.problems:
            raise ListingError(f"a buffer cannot be read: {observer.problems[0]}")
    return {
        "events": sum(look.stats.pending for look in clients),
        "clients": len(clients),
        "ended": sum(look.is_alive is False for look in clients),
    }
