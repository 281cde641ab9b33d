"""What came of a shipment."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataart_mp.cli.exit_code import ExitCode
from dataart_mp.cli.failures import Failures
from dataart_mp.stats import Stats


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was read, and what became of it.

    Attributes:
        stats: The client's balance.
        lines: Lines read, of a Parquet file rows.
        bad_lines: Rows that were no event.
        seconds: From the start to the end of the delivery.
        failures: Why records were given up on.
        stop: Why not all was read; None: all was.
        lines_before: Lines that runs before this one have shipped.
        checkpoint: From where another run can go on; None: there is none.
        is_unfinished: Whether it has something left to do there.
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
        """The worst that can be said of it."""
        codes = {ExitCode.OK} if self.stop is None else {self.stop}
        if self.stats.delivered != self.stats.accepted:
            codes.add(ExitCode.NOT_DELIVERED)
        if self.bad_lines:
            codes.add(ExitCode.BAD_INPUT)
        return next(code for code in ExitCode if code in codes)

    @property
    def rate(self) -> float:
        """Delivered events per second."""
        return self.stats.delivered / self.seconds if self.seconds else 0.0

    def as_json(self) -> dict[str, Any]:
        """All of it, for machines."""
        return {
            "exit_code": int(self.exit_code),
            "complete": self.stop is None,
            "lines": self.lines,
            "bad_lines": self.bad_lines,
            "lines_before": self.lines_before,
            "checkpoint": None if self.checkpoint is None else str(self.checkpoint),
            **dataclasses.asdict(self.stats),
            "seconds": round(self.seconds, 3),
            "events_per_second": round(self.rate),
            "failures": self.failures.as_json(),
        }

    def __str__(self) -> str:
        """All of it, for people."""
        lines = [
            self._before(),
            self._delivery(),
            self._balance(),
            self._pending(),
            self._bad_lines(),
        ]
        return "\n".join(filter(None, lines))

    def _before(self) -> str:
        return f"Went on after {self.lines_before:,} lines." if self.lines_before else ""

    def _delivery(self) -> str:
        stats = self.stats
        return (
            f"Delivered {stats.delivered:,} of {stats.accepted:,} events in {self.seconds:.1f} s "
            f"({self.rate:,.0f} a second): {stats.requests:,} requests, {stats.retries:,} retries, "
            f"{stats.bytes:,} bytes."
        )

    def _balance(self) -> str:
        if self.stats.delivered == self.stats.accepted:
            return ""
        return "\n".join(filter(None, [f"Not all: {self.stats}.", str(self.failures)]))

    def _pending(self) -> str:
        lines = []
        if self.stats.pending:
            lines.append("What is pending is left to the worker processes.")
        if self.stats.parked:
            lines.append("What is parked is sent by the next client on the spool.")
        return "\n".join(lines)

    def _bad_lines(self) -> str:
        if not self.bad_lines:
            return ""
        return f"{self.bad_lines:,} of {self.lines:,} lines read were bad."
