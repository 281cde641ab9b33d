"""The audit: compares what was shipped, what the client reports, and what the sink counted.

    manifest  the row and key of every flight, recorded before it was emitted
    client    accepted = delivered + pending + parked + dropped + rejected + failed
    sink      arrivals by row and by key; duplicates, explained and unexplained

The sink is independent of the shipper. A duplicate is explained if it arrived in a repeated
request: the same items under the same Idempotency-Key, sent again because the response was lost.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Final

from dataart_mp.cli.demo.manifest import Manifest
from dataart_mp.devsink import SinkStats
from dataart_mp.stats import Stats

_MAX_SHOWN: Final = 5


@dataclass(frozen=True, kw_only=True)
class Audit:
    """A comparison of three records of the same events.

    Attributes:
        manifest: What was emitted.
        stats: The balance of the client.
        sink: The counts of the sink.
        arrivals: Number of arrivals at the sink, by row.
    """

    manifest: Manifest
    stats: Stats
    sink: SinkStats
    arrivals: Mapping[Any, int]

    @cached_property
    def missing(self) -> list[int]:
        """Rows that were emitted and did not arrive."""
        return [row for row in self.manifest.key_of if row not in self.arrivals]

    @cached_property
    def unknown(self) -> list[Any]:
        """Rows that arrived and were not emitted."""
        return [row for row in self.arrivals if row not in self.manifest.key_of]

    @cached_property
    def distinct_by_key(self) -> Counter[str]:
        """Number of distinct flights that arrived, by key."""
        return Counter(key for row, key in self.manifest.key_of.items() if row in self.arrivals)

    @cached_property
    def duplicates(self) -> int:
        """Number of arrivals of flights that had arrived before."""
        return sum(self.arrivals.values()) - len(self.arrivals)

    @property
    def explained_duplicates(self) -> int:
        """Number of duplicates in repeated requests, as the sink counted them."""
        return self.sink["explained_duplicates"]

    @property
    def unexplained_duplicates(self) -> int:
        """Number of all other duplicates, as the sink counted them."""
        return self.sink["unexplained_duplicates"]

    @cached_property
    def faults(self) -> list[str]:
        """The discrepancies, one sentence each; empty: the audit passed."""
        return [*self._client_faults(), *self._row_faults(), *self._sink_faults()]

    def _client_faults(self) -> Iterator[str]:
        stats = self.stats
        if not stats.balanced:
            yield f"the client's counts do not balance: {stats}"
        if stats.accepted != len(self.manifest):
            yield f"the client accepted {stats.accepted:,} of {len(self.manifest):,} flights"
        if stats.delivered != stats.accepted:
            yield f"the client did not deliver all flights: {stats}"

    def _row_faults(self) -> Iterator[str]:
        if self.missing:
            yield f"flights missing: {len(self.missing):,} ({_rows(self.missing)})"
        if self.unknown:
            yield f"flights arrived but not sent: {len(self.unknown):,} ({_rows(self.unknown)})"

    def _sink_faults(self) -> Iterator[str]:
        sink = self.sink
        if self.unexplained_duplicates:
            yield f"unexplained duplicates: {self.unexplained_duplicates:,}"
        counted = self.explained_duplicates + self.unexplained_duplicates
        if counted != self.duplicates:
            yield f"the sink counted {counted:,} duplicates, but {self.duplicates:,} by row"
        if sink["distinct_actions"] != len(self.arrivals):
            yield (
                f"the sink counted {sink['distinct_actions']:,} different events, "
                f"but {len(self.arrivals):,} different rows"
            )
        if sink["by_key"] != self._expected_by_key():
            yield f"the sink counted {sink['by_key']} by key, not {self._expected_by_key()}"

    def _expected_by_key(self) -> dict[str, int]:
        """Return the counts by key that the sink has if each row arrived with its own key."""
        counts: Counter[str] = Counter()
        for row, count in self.arrivals.items():
            if row in self.manifest.key_of:
                counts[self.manifest.key_of[row]] += count
        return dict(counts)


def _rows(rows: list[Any]) -> str:
    shown = ", ".join(str(row) for row in islice(rows, _MAX_SHOWN))
    return f"row {shown}" + (", …" if len(rows) > _MAX_SHOWN else "")
