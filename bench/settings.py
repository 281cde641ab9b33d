"""The size of a run, and the configuration of clients."""

from dataclasses import dataclass
from typing import Any

from dataart_mp import ClientConfig


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        factor: The number of events is multiplied by this; tests use a thousandth.
        repetitions: How many samples are taken of each case.
    """

    factor: float = 1.0
    repetitions: int = 7

    def __call__(self, usual: int) -> int:
        """Return the usual number multiplied by the factor, at least 1."""
        return max(1, int(usual * self.factor))


def wire(url: str, **settings: Any) -> dict[str, Any]:
    """Return a client's configuration in the form that a fresh process accepts."""
    return ClientConfig("bench", base_url=url, **settings).to_wire()
