"""The result of a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataart_mp.cli.exit_code import ExitCode
from dataart_mp.cli.ship.failures import Failures
from dataart_mp.queue.counters import HOOK_REASONS, SAMPLED
from dataart_mp.stats import Stats


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run has read and delivered.

    Attributes:
        stats: The balance of the client.
        lines: Number of lines read; of Parquet files, number of rows.
        bad_lines: Number of lines or rows that were not events.
        seconds: Seconds from the start to the end of the delivery.
        failures: The events that failed permanently, by cause.
        stop: Why reading ended early; None: everything was read.
        lines_before: Number of lines that earlier runs have shipped.
        checkpoint: The checkpoint from which another run can continue; None: there is none.
        is_unfinished: Whether another run has something to ship from that checkpoint.
    """

    stats: Stats
    lines: int
    bad_lines: int
    seconds: float
    failures: Failures
    stop: ExitCode | None = None
    lines_before: int = 0
    checkpoint: Path | None = None
    is_unfinished: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """The exit code, which stands for the most important problem."""
        codes = {ExitCode.OK} if self.stop is None else {self.stop}
        if self.stats.delivered != self._to_deliver:
            codes.add(ExitCode.NOT_DELIVERED)
        if self.bad_lines:
            codes.add(ExitCode.BAD_INPUT)
        return next(code for code in ExitCode if code in codes)

    @property
    def _sampled(self) -> int:
        """Number of events that `sample_rate` leaves out."""
        return self.stats.dropped.get(HOOK_REASONS[SAMPLED], 0)

    @property
    def _to_deliver(self) -> int:
        return self.stats.accepted - self._sampled

    @property
    def rate(self) -> float:
        """Delivered events per second."""
        return self.stats.delivered / self.seconds if self.seconds else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return {
            "exit_code": int(self.exit_code),
            "complete": self.stop is None,
            "lines": self.lines,
            "bad_lines": self.bad_lines,
            "lines_before": self.lines_before,
            "checkpoint": None if self.checkpoint is None else str(self.checkpoint),
            **self.stats.as_json(),
            "seconds": round(self.seconds, 3),
            "events_per_second": round(self.rate),
            "failures": self.failures.as_json(),
        }

    def __str__(self) -> str:
        """The result as text, one or more lines."""
        lines = [
            self._before(),
            self._delivery(),
            self._left_out(),
            self._undelivered(),
            self._pending(),
            self._bad_lines(),
        ]
        return "\n".join(filter(None, lines))

    def _before(self) -> str:
        return f"Resumed after {self.lines_before:,} lines." if self.lines_before else ""

    def _delivery(self) -> str:
        stats = self.stats
        return (
            f"Delivered {stats.delivered:,} of {self._to_deliver:,} events in "
            f"{self.seconds:.1f} s ({self.rate:,.0f}/s): {stats.requests:,} requests, "
            f"{stats.retries:,} retries, {stats.bytes:,} bytes."
        )

    def _left_out(self) -> str:
        if not self._sampled:
            return ""
        return f"sample_rate has left out {self._sampled:,} of {self.stats.accepted:,} events."

    def _undelivered(self) -> str:
        if self.stats.delivered == self._to_deliver:
            return ""
        return "\n".join(filter(None, [f"Not all delivered: {self.stats}.", str(self.failures)]))

    def _pending(self) -> str:
        lines = []
        if self.stats.pending:
            lines.append("The worker processes continue to send pending events.")
        if self.stats.parked:
            lines.append("The next client that uses the spool sends parked events.")
        return "\n".join(lines)

    def _bad_lines(self) -> str:
        if not self.bad_lines:
            return ""
        return f"{self.bad_lines:,} of {self.lines:,} lines read were bad."
