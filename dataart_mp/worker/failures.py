"""Failures: batches that will not be delivered, kept as dead letters and reported."""

# ruff: noqa: ARG002 - a null object ignores its arguments

from datetime import UTC, datetime
from typing import Protocol

from dataart_mp.delivery.batch import Batch
from dataart_mp.spool.dead_letters import Cause
from dataart_mp.transport.response import Response
from dataart_mp.worker.reporter import Reporter


class LetterStore(Protocol):
    """Where the records of failed batches are kept; see `DeadLetters`."""

    def keep(self, name: str, records: bytes, cause: Cause) -> int:
        """Keep the records of a batch, and return how many older batches were removed.

        Args:
            name: The Idempotency-Key of the batch.
            records: The records, as JSON Lines.
            cause: Why the batch failed.

        Raises:
            OSError: They cannot be written.
        """


class NoLetters:
    """Keeps nothing: there is no spool."""

    def keep(self, name: str, records: bytes, cause: Cause) -> int:
        """Return 0: no batch was kept and none was removed."""
        return 0


class Failures:
    """Keeps and reports the batches of one worker that will not be delivered; for any thread.

    Args:
        letters: Keeps the records.
        reporter: Notifies the application.
    """

    def __init__(self, letters: LetterStore, reporter: Reporter) -> None:
        self._letters = letters
        self._reporter = reporter

    def add(self, reason: str, batch: Batch, response: Response, attempts: int) -> None:
        """Keep and report a batch. Call this before its records are counted as failed.

        If this process dies in between, the next one fails the same batch again: its dead letters
        replace these, and no record is lost without a trace.

        Args:
            reason: Why, as in `Failure.reason`.
            batch: The batch.
            response: The last response.
            attempts: How many attempts have failed.
        """
        cause = Cause(
            time=datetime.now(UTC),
            reason=reason,
            status=response.status,
            answer=response.text,
            attempts=attempts,
            kind=batch.kind,
        )
        try:
            removed = self._letters.keep(batch.key, batch.content, cause)
            if removed:
                self._reporter.removed(removed)
        except OSError as error:
            self._reporter.not_kept(batch, error)
        self._reporter.failed(reason, batch, response, attempts)
