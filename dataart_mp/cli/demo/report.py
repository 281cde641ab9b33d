"""The result of the demo as text and as JSON."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dataart_mp.cli.demo.audit import Audit
from dataart_mp.cli.message import printable


@dataclass(frozen=True)
class Report:
    """An audit, and the time that the delivery took.

    Attributes:
        audit: The audit.
        seconds: Seconds from the first event to the end of the delivery.
    """

    audit: Audit
    seconds: float

    @property
    def rate(self) -> float:
        """Flights per second, including the outage."""
        return len(self.audit.manifest) / self.seconds

    def as_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        audit = self.audit
        return {
            "passed": not audit.faults,
            "faults": audit.faults,
            "flights": len(audit.manifest),
            "by_key": {
                key: {
                    "shipped": count,
                    "arrived": audit.sink["by_key"].get(key, 0),
                    "distinct": audit.distinct_by_key[key],
                }
                for key, count in audit.manifest.by_key.items()
            },
            "missing": len(audit.missing),
            "explained_duplicates": audit.explained_duplicates,
            "unexplained_duplicates": audit.unexplained_duplicates,
            "client": audit.stats.as_json(),
            "sink": audit.sink,
            "seconds": round(self.seconds, 3),
            "events_per_second": round(self.rate),
        }

    def __str__(self) -> str:
        """The report as text: a table, the counts of client and sink, and the verdict."""
        return "\n".join([*self._table(), "", *self._counts(), "", *self._verdict()])

    def _table(self) -> Iterator[str]:
        audit = self.audit
        yield f"{'':12}{'shipped':>10}{'arrived':>10}{'distinct':>12}"
        for key, count in audit.manifest.by_key.most_common():
            arrived = audit.sink["by_key"].get(key, 0)
            yield f"{printable(key):12}{count:>10,}{arrived:>10,}{audit.distinct_by_key[key]:>12,}"
        sums = len(audit.manifest), audit.sink["actions"], audit.sink["distinct_actions"]
        yield "{:12}{:>10,}{:>10,}{:>12,}".format("total", *sums)

    def _counts(self) -> Iterator[str]:
        audit, sink = self.audit, self.audit.sink
        yield f"Client      {audit.stats}"
        yield (
            f"Sink        {sink['requests']:,} requests, "
            f"{sink['by_status'].get('503', 0):,} refused with status 503, "
            f"{sink['by_status'].get('none', 0):,} without a response"
        )
        yield (
            f"Duplicates  {audit.explained_duplicates:,} explained by "
            f"{sink['repeated_requests']:,} repeated requests whose responses were lost; "
            f"{audit.unexplained_duplicates:,} unexplained"
        )
        yield (f"Time        {self.seconds:.1f} s including the outage, {self.rate:,.0f} events/s")

    def _verdict(self) -> Iterator[str]:
        if self.audit.faults:
            yield from (f"FAILED: {printable(fault)}" for fault in self.audit.faults)
        else:
            yield "PASSED: all flights arrived; no unexplained duplicates."
