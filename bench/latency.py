"""Clients with their default settings, and a sink that is far away, busy or limited."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench import paced, peer_defaults
from bench.distant_sink import Distance, distant_sink
from dataart_mp import Client, ClientConfig
from dataart_mp.cli.bench.fresh import fresh
from dataart_mp.cli.bench.load import EVENT
from dataart_mp.cli.bench.measurement import Column, Sample
from dataart_mp.errors import DataArtError

COLUMNS: Final = (
    Column("emitted/s", "emitted_per_second"),
    Column("events/s", "events_per_second"),
    Column("requests/s", "requests_per_second"),
    Column("events a request", "events_per_request"),
    Column("in flight", "most_in_flight"),
    Column("wasted %", "wasted_percent", 1),
    Column("missing %", "missing_percent", 1),
    Column("failed", "failed"),
)
OURS: Final = "dataart_mp"
PEERS: Final = ("Segment", "PostHog", "Snowplow", "OpenTelemetry logs")
RATE: Final = 200.0
AT_50_MS: Final = "50 ms"
AT_200_MS: Final = "200 ms"
LIMITED: Final = "50 ms, 200 requests/s"
DISTANCES: Final = {
    "1 ms": Distance(0.001),
    AT_50_MS: Distance(0.05),
    AT_200_MS: Distance(0.2),
    "50 ms, queue of 8": Distance(0.05, servers=8),
    LIMITED: Distance(0.05, rate=RATE),
}
# Far below what most clients can send, what the limited sink accepts with 40 events a request, and
# above what any sink here accepts.
LOADS: Final = (1_000, 8_000, 200_000)
MOST: Final = LOADS[-1]
_SECONDS: Final = 8.0
_LEAST_SECONDS: Final = 0.5
_ROOT: Final = Path(__file__).parent.parent


def case(client: str, distance: str, load: int) -> str:
    """Return the name of the case with this client, sink and load."""
    return f"{distance}, {load:,} events/s: {client}"


def cases(python: Path, factor: float) -> dict[str, Callable[[], Sample]]:
    """Return a case for each client, sink and load.

    Args:
        python: An interpreter that has the peers installed.
        factor: The time is multiplied by this.
    """
    seconds = max(_LEAST_SECONDS, _SECONDS * factor)
    found: dict[str, Callable[[], Sample]] = {}
    for distance in DISTANCES:
        for load in LOADS:
            found[case(OURS, distance, load)] = _ours(distance, load, seconds)
            for name in PEERS:
                found[case(name, distance, load)] = _theirs(python, name, distance, load, seconds)
    return found


def run(url: str, rate: float, seconds: float) -> dict[str, Any]:
    """Measure our client with its default settings under a steady load; see `paced.measure`."""
    with Client(ClientConfig("bench", base_url=url)) as client:
        sample = paced.measure(url, lambda: client.emit_action(*EVENT), rate, seconds)
        stats = client.stats()
        return {**sample, "failed": stats.failed + stats.rejected, "retries": stats.retries}


def _ours(distance: str, load: int, seconds: float) -> Callable[[], Sample]:
    def sample() -> Sample:
        with distant_sink(EVENT.key, DISTANCES[distance]) as url:
            return fresh(run, url=url, rate=load, seconds=seconds)

    return sample


def _theirs(
    python: Path, name: str, distance: str, load: int, seconds: float
) -> Callable[[], Sample]:
    *fields, moment, metadata = EVENT

    def sample() -> Sample:
        with distant_sink(EVENT.key, DISTANCES[distance]) as url:
            try:
                return fresh(
                    peer_defaults.run,
                    python=str(python),
                    path=[str(_ROOT)],
                    name=name,
                    url=url,
                    event=[*fields, moment.isoformat(), metadata],
                    rate=load,
                    seconds=seconds,
                )
            except DataArtError as error:  # not installed, for example
                return {"error": str(error)}

    return sample
