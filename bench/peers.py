"""Other Python clients, measured with the same sink in the same run.

They are installed into a separate venv (`bench/.peers`). `bench.peer_clients` configures them.
"""

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench import peer_clients, ship
from bench.counter import counting
from bench.nginx import SpeedSink
from bench.settings import Scale, wire
from dataart_mp import compiled
from dataart_mp.cli.bench import load
from dataart_mp.cli.bench.fresh import fresh
from dataart_mp.cli.bench.measurement import Column, Sample

COLUMNS: Final = (
    Column("events/s", "events_per_second"),
    Column("CPU s/million", "cpu_per_million", 2),
    Column("ns a call", "ns_per_call"),
    Column("peak MB", "peak_mb"),
)
VENV: Final = Path(__file__).parent / ".peers"
REQUIREMENTS: Final = Path(__file__).parent / "peers.txt"
OURS: Final = "dataart_mp"
OURS_IN_BULK: Final = "dataart_mp in bulk"
_ROOT: Final = Path(__file__).parent.parent
_SDK_FACTOR: Final = 15.0
_KAFKA_FACTOR: Final = 5.0 if compiled else 1.0


class Load(NamedTuple):
    """How a peer is measured.

    Attributes:
        events: How many events are shipped, by batch size.
        factors: How many times faster we want to be, by batch size; None if there is no target.
        is_http: Whether a sink can count its events; otherwise its delivery reports are trusted.
    """

    events: dict[int, int]
    factors: dict[int, float | None]
    is_http: bool = True


_SDK: Final = Load({20: 10_000, 500: 20_000}, {20: None, 500: _SDK_FACTOR})
PEERS: Final[dict[str, Load]] = {
    "dataart-python": Load({20: 20_000, 500: 100_000}, {20: None, 500: 5.0}),
    "Segment": _SDK,
    "Rudder": _SDK,
    "PostHog": _SDK,
    "Snowplow": _SDK,
    "Mixpanel": Load({20: 10_000, 50: 20_000}, {20: None, 50: None}),
    "Amplitude": _SDK,
    "OpenTelemetry logs": _SDK,
    "confluent-kafka": Load(
        {20: 200_000, 500: 200_000}, {20: None, 500: _KAFKA_FACTOR}, is_http=False
    ),
}
_OUR_EVENTS: Final = {20: 600_000, 50: 1_000_000, 500: 2_000_000}


def case(name: str, batch: int) -> str:
    """Return the name of the case with this client and batch size."""
    return f"{name}, batch {batch}"


def install() -> Path:
    """Return the interpreter of the peers' venv, which is created if it does not exist."""
    python = VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        # One by one: two of them require different versions of the same library. The last
        # installation wins, and both work with its version.
        for line in REQUIREMENTS.read_text().splitlines():
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, *line.split()], check=True)
    return python


def cases(
    sink: SpeedSink, scale: Scale, python: Path, names: Iterable[str]
) -> dict[str, Callable[[], Sample]]:
    """Return cases with our client and its peers, for each batch size."""
    found: dict[str, Callable[[], Sample]] = {}
    for batch, events in _OUR_EVENTS.items():
        peers = [name for name in names if batch in PEERS[name].events]
        if peers:
            found[case(OURS, batch)] = _ours(sink, scale, batch, events, bulk=False)
            found[case(OURS_IN_BULK, batch)] = _ours(sink, scale, batch, events, bulk=True)
        for name in peers:
            found[case(name, batch)] = _theirs(sink, scale, python, name, batch)
    return found


def _ours(
    sink: SpeedSink, scale: Scale, batch: int, events: int, *, bulk: bool
) -> Callable[[], Sample]:
    # Our best configuration is compared with the best configuration of each peer.
    config = wire(sink.url, **ship.settings(batch, lean=bulk))
    count = _whole(scale(events), batch)

    def sample() -> Sample:
        taken = fresh(load.run, config=config, events=count, warm_up=count // 10, bulk=bulk)
        ship.check(taken)
        return taken

    return sample


def _theirs(
    sink: SpeedSink, scale: Scale, python: Path, name: str, batch: int
) -> Callable[[], Sample]:
    events = scale(PEERS[name].events[batch])
    return lambda: _run(f"{sink.url}/json/", python, name, batch, events)


def _run(url: str, python: Path, name: str, batch: int, events: int) -> dict[str, Any]:
    *fields, moment, metadata = load.EVENT
    return fresh(
        peer_clients.run,
        python=str(python),
        path=[str(_ROOT)],
        name=name,
        url=url,
        batch=batch,
        events=_whole(events, batch),
        warm_up=batch,
        event=[*fields, moment.isoformat(), metadata],
    )


def _whole(events: int, batch: int) -> int:
    """Round down to whole batches: some peers keep the rest, or wait for more events."""
    return max(1, events // batch) * batch


def verification(scale: Scale, python: Path, names: Iterable[str]) -> dict[str, dict[str, int]]:
    """Ship with each peer to a sink that counts.

    Returns:
        By case, how many events and requests arrived, those of the warm-up included.

    Raises:
        RuntimeError: Not as many events arrived as were emitted.
    """
    counted: dict[str, dict[str, int]] = {}
    for name in names:
        peer = PEERS[name]
        for batch in peer.events if peer.is_http else ():
            with counting(load.EVENT.key) as counter:
                sample = _run(counter.url, python, name, batch, scale(2_000))
            arrived = counter.count - batch  # those of the warm-up
            if arrived != sample["events"]:
                raise RuntimeError(f"{name}: {sample['events']} emitted, {arrived} arrived")
            counted[case(name, batch)] = {"events": counter.count, "requests": counter.requests}
    return counted
