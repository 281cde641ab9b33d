"""Emits the messages of a stream, and commits an offset only when all before it are delivered.

    export DATAART_API_KEY=any DATAART_BASE_URL=http://127.0.0.1:8765
    python stream_consumer.py events.jsonl

A message that is not committed is read again after a crash, so each one arrives at least once. The
stream here is a file of JSON Lines. For Kafka or SQS, write a class with the three methods of
`FileSource`:

    receive()       Kafka: consumer.poll(0.1)           SQS: receive_message(WaitTimeSeconds=1)
    commit(offset)  Kafka: consumer.commit(offsets=…)   SQS: delete_message_batch of what was
                                                             received up to this one
    is_at_end       False, unless the program is to end
"""

import json
import logging
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from dataart_mp import Client, ClientConfig, DeliveryMark, EventError

MARK_EVERY = 100  # messages; a mark costs microseconds

Marks = deque[tuple[DeliveryMark, int]]  # each with the offset to commit

log = logging.getLogger(__name__)


class Message(NamedTuple):
    """A message, and the offset from which to continue after it."""

    event: dict[str, Any]
    next_offset: int


class Source(Protocol):
    """A stream that can be read again from the offset that was committed last."""

    @property
    def is_at_end(self) -> bool:
        """Whether no message will come any more."""

    def receive(self) -> Message | None:
        """Return the next message; None: nothing has arrived."""

    def commit(self, offset: int) -> None:
        """Continue from this offset after the next start."""


def consume(source: Source, client: Client) -> None:
    """Emit all messages; raise an error if some cannot be delivered, without committing them."""
    marks: Marks = deque()
    received = 0
    offset = None
    while not source.is_at_end:
        message = source.receive()
        if message is None:  # nothing has arrived: what has is committed soon
            if offset is not None:
                marks.append((client.mark(), offset))
                offset = None
            time.sleep(0.05)
        else:
            try:
                client.emit_action(**message.event)
            except (EventError, TypeError) as error:  # it would be refused each time
                log.warning("the message before offset %s: %s", message.next_offset, error)
            offset = message.next_offset
            received += 1
            if received % MARK_EVERY == 0:
                marks.append((client.mark(), offset))
                offset = None
        commit_settled(source, marks)
    if offset is not None:
        marks.append((client.mark(), offset))
    while marks:
        marks[0][0].wait()
        commit_settled(source, marks)


def commit_settled(source: Source, marks: Marks) -> None:
    """Commit the offset of the last mark before which nothing is pending."""
    offset = None
    while marks and marks[0][0].pending() == 0:
        mark, offset_of_mark = marks.popleft()
        outcome = mark.outcome()
        if outcome.failed or outcome.dropped:
            raise RuntimeError(f"some messages are not delivered: {outcome}")
        offset = offset_of_mark  # rejected ones would be rejected again; parked ones are on disk
    if offset is not None:
        source.commit(offset)


class FileSource:
    """A file of JSON Lines; the committed offset is in a second file."""

    def __init__(self, path: Path) -> None:
        self._offset_file = path.with_suffix(".offset")
        self._lines = path.open("rb")
        if self._offset_file.exists():
            self._lines.seek(int(self._offset_file.read_text()))
        self.is_at_end = False

    def receive(self) -> Message | None:
        """Return the event of the next line; None: there is none."""
        line = self._lines.readline()
        if not line:
            self.is_at_end = True
            return None
        return Message(json.loads(line), self._lines.tell())

    def commit(self, offset: int) -> None:
        """Write the offset to the second file."""
        new = self._offset_file.with_suffix(".new")
        new.write_text(str(offset))
        new.replace(self._offset_file)  # atomic


if __name__ == "__main__":
    with Client(ClientConfig.from_env()) as client:
        consume(FileSource(Path(sys.argv[1])), client)
