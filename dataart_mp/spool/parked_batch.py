"""A parked batch: records whose retries are exhausted, on disk until the outage ends.

    frame ──park──► parked.db ──take──► frame ──delivered──► removed from parked.db
                        ▲                 │
                        └──parked again───┘ retries exhausted again

A parked batch has an owner: the frame that parked it, or that took it back to send it. The batch
stays in the file while a frame owns it, so that nothing is lost when the frame's process dies.
"""

from dataclasses import dataclass
from typing import Final

from dataart_mp.queue.owner import Owner

DATABASE_NAME: Final = "parked.db"
"""The file of a spool that holds all parked batches."""

MARK_SUFFIX: Final = ".parked"
"""`<arena id>.parked` is an empty file: batches may be parked that belong to that arena."""

MAX_REST_SECONDS: Final = 300.0
"""The longest time that a batch rests after it was parked again. A longer one means that the clock
was set back, and is ignored."""


@dataclass(frozen=True, slots=True)
class BatchContent:
    """What is sent of a batch: its records, and the key under which they are sent.

    Attributes:
        key: The batch's Idempotency-Key.
        is_identity: True for one identity, False for actions.
        records: JSON lines.
    """

    key: str
    is_identity: bool
    records: bytes

    @property
    def count(self) -> int:
        """The number of records."""
        return self.records.count(b"\n")


@dataclass(frozen=True, slots=True)
class ParkedBatch:
    """A batch in the parking lot, without its records, which are read when it is taken.

    Attributes:
        id: Identifies the batch in its file; a new file starts again at 1.
        key: The batch's Idempotency-Key.
        is_identity: True for one identity, False for actions.
        since: When it was first parked (epoch, ns).
        count: The number of records.
        size: The bytes that the records take.
        home: The id of the arena whose balance counts the records as parked.
        owner: The frame that owns the batch, or owned it last.
    """

    id: int
    key: str
    is_identity: bool
    since: int
    count: int
    size: int
    home: str
    owner: Owner
