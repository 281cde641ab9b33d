"""The list of shipped flights, recorded before they are emitted."""

from collections import Counter
from collections.abc import Iterable, Iterator

from dataart_mp.cli.nycflights.archive import ArchiveError
from dataart_mp.table.event import Action


class Manifest:
    """The key of each flight, by the number of its row.

    Attributes:
        key_of: The key of each row.
    """

    def __init__(self) -> None:
        self.key_of: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.key_of)

    @property
    def by_key(self) -> Counter[str]:
        """Number of flights by key."""
        return Counter(self.key_of.values())

    def record(self, flights: Iterable[Action]) -> Iterator[Action]:
        """Record each flight, and yield it.

        Raises:
            ArchiveError: A flight has no row number, or one that another flight has.
        """
        for flight in flights:
            row = flight.metadata.get("row") if isinstance(flight.metadata, dict) else None
            if not isinstance(row, int) or row in self.key_of:
                raise ArchiveError(
                    f"metadata.row: {row!r} is not a unique row number; the demo ships the output "
                    "of `dataart-mp flights`, and `dataart-mp ship` ships other files"
                )
            self.key_of[row] = flight.key
            yield flight
