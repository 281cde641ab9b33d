"""The audit: what was shipped, what the client says, and what the sink counted, side by side.

    source    every flight's row and key, written down before it was emitted
    client    accepted = delivered + pending + parked + dropped + rejected + failed
    sink      arrivals of every row, and of every key; duplicates, with and without a cause

The sink is independent of the shipper. A duplicate has a cause when its request is repeated with
the same items and the same Idempotency-Key, because the first response was lost.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Final

from dataart_mp.cli.manifest import Manifest
from dataart_mp.devsink import SinkStats
from dataart_mp.stats import Stats

_NAMED: Final = 5


@dataclass(frozen=True, kw_only=True)
class Audit:
    """A comparison of three books.

    Attributes:
        manifest: What was emitted.
        stats: The client's balance.
        sink: The sink's balance.
        arrivals: How often each row reached the sink.
    """

    manifest: Manifest
    stats: Stats
    sink: SinkStats
    arrivals: Mapping[Any, int]

    @cached_property
    def missing(self) -> list[int]:
        """Rows that were emitted and never arrived."""
        return [row for row in self.manifest.key_of if row not in self.arrivals]

    @cached_property
    def strangers(self) -> list[Any]:
        """Rows that arrived and were never emitted."""
        return [row for row in self.arrivals if row not in self.manifest.key_of]

    @cached_property
    def distinct_by_key(self) -> Counter[str]:
        """Different flights that arrived, by key."""
        return Counter(key for row, key in self.manifest.key_of.items() if row in self.arrivals)

    @cached_property
    def duplicates(self) -> int:
        """Arrivals of flights that had arrived before."""
        return sum(self.arrivals.values()) - len(self.arrivals)

    @cached_property
    def faults(self) -> list[str]:
        """What does not add up, a sentence each; none: the audit is passed."""
        return [*self._client_faults(), *self._row_faults(), *self._sink_faults()]

    def _client_faults(self) -> Iterator[str]:
        stats = self.stats
        if not stats.balanced:
            yield f"the client's balance is wrong: {stats}"
        if stats.accepted != len(self.manifest):
            yield f"the client accepted {stats.accepted:,} of {len(self.manifest):,} flights"
        if stats.delivered != stats.accepted:
            yield f"the client did not deliver all: {stats}"

    def _row_faults(self) -> Iterator[str]:
        if self.missing:
            yield f"flights missing: {len(self.missing):,} ({_some(self.missing)})"
        if self.strangers:
            yield f"arrived but never sent: {len(self.strangers):,} ({_some(self.strangers)})"

    def _sink_faults(self) -> Iterator[str]:
        sink = self.sink
        if sink["unexplained_duplicates"]:
            yield f"duplicates without a cause: {sink['unexplained_duplicates']:,}"
        if sink["explained_duplicates"] + sink["unexplained_duplicates"] != self.duplicates:
            yield f"the sink counted other duplicates than {self.duplicates:,}, as by rows"
        if sink["distinct_actions"] != len(self.arrivals):
            yield (
                f"the sink counted {sink['distinct_actions']:,} different events, "
                f"but {len(self.arrivals):,} different rows"
            )
        if sink["by_key"] != self._expected_by_key():
            yield f"the sink counted {sink['by_key']} by key, not {self._expected_by_key()}"

    def _expected_by_key(self) -> dict[str, int]:
        """What the sink must have counted by key, if each row arrived under its own key."""
        counts: Counter[str] = Counter()
        for row, count in self.arrivals.items():
            if row in self.manifest.key_of:
                counts[self.manifest.key_of[row]] += count
        return dict(counts)


def _some(rows: list[Any]) -> str:
    named = ", ".join(str(row) for row in islice(rows, _NAMED))
    return f"row {named}" + (", …" if len(rows) > _NAMED else "")
