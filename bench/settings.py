"""How large a run is, and with which settings clients run."""

from dataclasses import dataclass
from typing import Any

from dataart_mp import ClientConfig


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        factor: Of the usual number of events; tests take a thousandth.
        repetitions: Samples of each case.
    """

    factor: float = 1.0
    repetitions: int = 7

    def __call__(self, usual: int) -> int:
        """So many instead of the usual number, but one at least."""
        return max(1, int(usual * self.factor))


def wire(url: str, **settings: Any) -> dict[str, Any]:
    """A client's configuration as a fresh process takes it."""
    return ClientConfig("bench", base_url=url, **settings).to_wire()
