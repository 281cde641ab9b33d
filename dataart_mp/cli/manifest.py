"""The list of what is shipped, kept at the source, to compare with what arrives."""

from collections import Counter
from collections.abc import Iterable, Iterator

from dataart_mp.cli.archive import ArchiveError
from dataart_mp.cli.event import Action


class Manifest:
    """The key of each flight, by the number of its row.

    Attributes:
        key_of: Row to key.
    """

    def __init__(self) -> None:
        self.key_of: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.key_of)

    @property
    def by_key(self) -> Counter[str]:
        """How many flights have each key."""
        return Counter(self.key_of.values())

    def note(self, flights: Iterable[Action]) -> Iterator[Action]:
        """Let flights pass, and write each down.

        Raises:
            ArchiveError: A flight has no number, or the number of another one.
        """
        for flight in flights:
            row = flight.metadata.get("row") if isinstance(flight.metadata, dict) else None
            if not isinstance(row, int) or row in self.key_of:
                raise ArchiveError(
                    f"a flight without a row number of its own ({row!r}): the demo ships what "
                    "`dataart-mp flights` prints; for other files there is `dataart-mp ship`"
                )
            self.key_of[row] = flight.key
            yield flight
