"""The status: what workers say of themselves and of the platform, for all who look at an arena.

    word     meaning
    128      seconds after which a frame is sealed, a floating-point number
    129..134 for actions, then for identities: since when requests fail, since when the circuit is
             open, and when it was closed last
    136..215 two slots for the latest error, see below
    216..221 for actions, then for identities: how many requests have failed in a row, since when,
             and when the circuit was closed last, both by `clock.now`
    264..511 61 rows of workers: process id, start, last sign of life, requests in flight

A worker writes only what has changed, so nothing of this is on the path of an event. Nothing
depends on it: a word that a death or two writers at once have left wrong is corrected by the next
change. So it has no lock.

A slot for an error has its time, its length with a checksum, and its text. The older slot is
written, and its time is stored last. A torn one has the wrong checksum, and the other one counts.

Times are nanoseconds since the epoch, because people read them. Those that are compared, such as
the last sign of life, are ones of `clock.now`.
"""

import struct
import time
import zlib
from typing import Final, NamedTuple

from dataart_mp import clock
from dataart_mp.queue.arena import Arena
from dataart_mp.queue.process import Process

MAX_ERROR_BYTES: Final = 304
PLACES_SHOWN: Final = 61
"""Workers in higher places have no row."""

_WORD_BYTES: Final = 8
_INTERVAL: Final = 128
_DELIVERIES: Final = 129
_DELIVERY_WORDS: Final = 3
_ERRORS: Final = 136
_SLOTS: Final = 2
_SLOT_WORDS: Final = 2 + MAX_ERROR_BYTES // _WORD_BYTES
_OUTAGES: Final = 216
_OUTAGE_WORDS: Final = 3
_ROWS: Final = 264
_ROW_WORDS: Final = 4
_LENGTH_SHIFT: Final = 32
_FAILING, _OPEN, _CLOSED = range(_DELIVERY_WORDS)
_FAILURES, _BEGAN, _ENDED = range(_OUTAGE_WORDS)
_PID, _START, _SEEN, _IN_FLIGHT = range(_ROW_WORDS)

# A time that is later than now by more than this was damaged.
_AHEAD_NS: Final = 86_400 * 10**9
_SEEN_NS: Final = 5 * 10**9
_MOST_IN_FLIGHT: Final = 4096
_MOST_FAILURES: Final = 1 << 20


class Error(NamedTuple):
    """The latest error of a client.

    Attributes:
        text: What happened, without a secret.
        at: When (epoch, ns).
    """

    text: str
    at: int


class Delivery(NamedTuple):
    """What is known of one endpoint of the platform, by all workers. Times are epoch, ns; 0: never.

    Attributes:
        failing_since: When the first request failed since the last one that succeeded.
        open_since: When a circuit was opened; 0 if none is open.
        closed_at: When the last circuit was closed.
    """

    failing_since: int
    open_since: int
    closed_at: int


class Outage(NamedTuple):
    """A time in which no request to an endpoint succeeded.

    Attributes:
        age: How long it was (ns).
        was_open: Whether it has opened a circuit.
    """

    age: int
    was_open: bool


class WorkerRow(NamedTuple):
    """What a worker says of itself.

    Attributes:
        place: Its number.
        process: The process.
        seen: Its last sign of life (ns of `clock.now`).
        in_flight: Its requests in flight.
    """

    place: int
    process: Process
    seen: int
    in_flight: int

    def is_recent(self, now: int) -> bool:
        """Return whether its last sign of life is no older than some seconds."""
        return 0 <= now - self.seen < _SEEN_NS


class Status:
    """The status in the words of an arena; for any process that has it mapped.

    Args:
        arena: The arena.
    """

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._words = arena.words

    @property
    def interval(self) -> float:
        """Seconds after which a frame is sealed; 0.0 if it is unknown."""
        seconds: float = struct.unpack("d", struct.pack("Q", self._words[_INTERVAL]))[0]
        return seconds if 0.0 <= seconds < 1e9 else 0.0  # else it was damaged

    @interval.setter
    def interval(self, seconds: float) -> None:
        self._words[_INTERVAL] = struct.unpack("Q", struct.pack("d", seconds))[0]

    def start_afresh(self) -> None:
        """Forget what was known of workers and of the platform, for a new owner of an arena."""
        outages = range(_OUTAGES, _OUTAGES + 2 * _OUTAGE_WORDS)
        for word in (*range(_DELIVERIES, _ERRORS), *outages, *range(_ROWS, _end_of_rows())):
            self._words[word] = 0

    # The platform

    def is_failing(self, is_identity: bool) -> bool:
        """Return whether requests to an endpoint fail, by what any worker knows."""
        return self._words[_DELIVERIES + is_identity * _DELIVERY_WORDS] != 0

    def is_open(self, is_identity: bool) -> bool:
        """Return whether the circuit of an endpoint is open, by what any worker knows."""
        return self.delivery(is_identity).open_since != 0

    def delivery(self, is_identity: bool) -> Delivery:
        """Return what is known of the endpoint for actions, or for identities."""
        first = _DELIVERIES + is_identity * _DELIVERY_WORDS
        now = time.time_ns()
        words = self._words[first : first + _DELIVERY_WORDS].tolist()
        if not words[_FAILING]:  # a worker that noted a failure at the end of an outage was late
            words[_OPEN] = 0
        return Delivery(*(_sound_time(word, now) for word in words))

    def failures(self, is_identity: bool) -> int:
        """Return how many requests of all workers to an endpoint have failed in a row."""
        if not self.is_failing(is_identity):
            return 0
        return min(self._words[_outage(is_identity) + _FAILURES], _MOST_FAILURES)

    def ended_at(self, is_identity: bool) -> int:
        """Return when the circuit of an endpoint was closed last (ns of `clock.now`); 0: never."""
        at = self._words[_outage(is_identity) + _ENDED]
        return at if at <= clock.now() else 0  # else it was damaged

    def failed(self, is_identity: bool, *, is_open: bool) -> bool:
        """Note that a request failed.

        Args:
            is_identity: The endpoint.
            is_open: Whether the circuit is open now.

        Returns:
            Whether it is the first failure since the last success.
        """
        first = _DELIVERIES + is_identity * _DELIVERY_WORDS
        is_first = not self._words[first + _FAILING]
        self._words[_outage(is_identity) + _FAILURES] = self.failures(is_identity) + 1
        if is_first:
            self._words[_outage(is_identity) + _BEGAN] = clock.now()
            self._words[first + _OPEN] = 0
            self._words[first + _FAILING] = time.time_ns()
        if is_open and not self._words[first + _OPEN]:
            self._words[first + _OPEN] = time.time_ns()
        return is_first

    def works(self, is_identity: bool) -> Outage | None:
        """Note that a request succeeded.

        Returns:
            What is over now, if the request before had failed; else None.
        """
        first, outage = _DELIVERIES + is_identity * _DELIVERY_WORDS, _outage(is_identity)
        if not self._words[first + _FAILING]:
            return None
        now, was_open = clock.now(), self._words[first + _OPEN] > 0
        if was_open:
            self._words[outage + _ENDED] = now
            self._words[first + _CLOSED] = time.time_ns()
            self._words[first + _OPEN] = 0
        self._words[first + _FAILING] = 0
        return Outage(now - self._words[outage + _BEGAN], was_open)

    # The latest error

    @property
    def error(self) -> Error | None:
        """The latest error; None if there was none, or if it is being written."""
        errors = [self._read(slot) for slot in range(_SLOTS)]
        return max((each for each in errors if each), key=lambda error: error.at, default=None)

    def note_error(self, text: str) -> None:
        """Store an error as the latest one.

        Args:
            text: What happened. It contains no secret, and is cut if it is long.
        """
        content = _cut(text)
        slot = min(range(_SLOTS), key=lambda slot: self._words[self._slot(slot)])
        first = self._slot(slot)
        now = time.time_ns()
        self._words[first] = 0
        start = (first + 2) * _WORD_BYTES
        self._arena.memory[start : start + len(content)] = content
        self._words[first + 1] = len(content) << _LENGTH_SHIFT | _checksum(now, content)
        self._words[first] = now

    @staticmethod
    def _slot(slot: int) -> int:
        return _ERRORS + slot * _SLOT_WORDS

    def _read(self, slot: int) -> Error | None:
        first = self._slot(slot)
        at, check = self._words[first : first + 2].tolist()
        length = min(check >> _LENGTH_SHIFT, MAX_ERROR_BYTES)
        start = (first + 2) * _WORD_BYTES
        content = bytes(self._arena.memory[start : start + length])
        is_whole = at and check == length << _LENGTH_SHIFT | _checksum(at, content)
        return Error(content.decode(errors="replace"), at) if is_whole else None

    # Workers

    def register(self, place: int, process: Process) -> None:
        """Say that a process is the worker in a place, with no request in flight.

        Args:
            place: The number of the place, whose lock the caller has.
            process: The caller. Its start is 0 where that is unknown.
        """
        if place < PLACES_SHOWN:
            first = _ROWS + place * _ROW_WORDS
            self._words[first + _IN_FLIGHT] = 0
            self._words[first + _START] = process.start
            self._words[first + _SEEN] = clock.now()
            self._words[first + _PID] = process.pid

    def show_life(self, place: int) -> None:
        """Say that the worker in a place lives."""
        if place < PLACES_SHOWN:
            self._words[_ROWS + place * _ROW_WORDS + _SEEN] = clock.now()

    def in_flight_word(self, place: int) -> int:
        """Return which word of the arena says how many requests of a worker are in flight.

        It is that of the last row for workers that have none, which nobody reads then.
        """
        return _ROWS + min(place, PLACES_SHOWN) * _ROW_WORDS + _IN_FLIGHT

    def rows(self) -> list[WorkerRow]:
        """Return the rows of all workers that were ever registered, dead ones included."""
        words = self._words[_ROWS : _end_of_rows()].tolist()
        return [
            WorkerRow(
                place=at // _ROW_WORDS,
                process=Process(words[at + _PID], words[at + _START]),
                seen=words[at + _SEEN],
                in_flight=min(words[at + _IN_FLIGHT], _MOST_IN_FLIGHT),
            )
            for at in range(0, len(words), _ROW_WORDS)
            if words[at + _PID]
        ]


def _outage(is_identity: bool) -> int:
    return _OUTAGES + is_identity * _OUTAGE_WORDS


def _end_of_rows() -> int:
    return _ROWS + PLACES_SHOWN * _ROW_WORDS


def _sound_time(word: int, now: int) -> int:
    return word if word <= now + _AHEAD_NS else 0


def _cut(text: str) -> bytes:
    """Return the bytes of a text on one line, at most as many as there is room for."""
    content = " ".join(text.split()).encode(errors="replace")
    if len(content) <= MAX_ERROR_BYTES:
        return content
    end = "…".encode()
    whole = content[: MAX_ERROR_BYTES - len(end)].decode(errors="ignore")
    return whole.encode() + end


def _checksum(at: int, content: bytes) -> int:
    return zlib.crc32(content, at & 0xFFFFFFFF)
