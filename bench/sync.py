"""What `spool_sync` costs: the same events without a spool, and with each value of the setting.

The spool is a directory of this disk, on which nearly all depends: with `"batch"`, each full frame
waits for it once.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from bench.nginx import SpeedSink
from bench.settings import Scale, wire
from bench.ship import check
from dataart_mp.cli.bench import load
from dataart_mp.cli.bench.fresh import fresh
from dataart_mp.cli.bench.measurement import Column, Sample

COLUMNS: Final = (
    Column("events/s", "events_per_second"),
    Column("ns a call", "ns_per_call"),
    Column("CPU s/million", "cpu_per_million", 2),
)
NO_SPOOL: Final = "no spool, batch {}"
SPOOL: Final = 'spool_sync="{}", batch {}'
LEVELS: Final = ("none", "interval", "batch")
BATCHES: Final = (20, 500)
# Those that wait for the disk at each frame are fewer, so that they take seconds, not minutes.
_EVENTS: Final = {20: 60_000, 500: 400_000}
_WAITING_EVENTS: Final = {20: 6_000, 500: 150_000}


def cases(sink: SpeedSink, scale: Scale, directory: Path) -> dict[str, Callable[[], Sample]]:
    """Return a case without a spool and one for each value of the setting, for each batch size.

    Args:
        sink: The sink to ship to.
        scale: How much to measure.
        directory: Where spools are made.
    """
    made: dict[str, Callable[[], Sample]] = {}
    for batch in BATCHES:
        made[NO_SPOOL.format(batch)] = _sample(sink, scale(_EVENTS[batch]), batch, {})
        for level in LEVELS:
            events = (_WAITING_EVENTS if level == "batch" else _EVENTS)[batch]
            settings = {"spool_sync": level}
            made[SPOOL.format(level, batch)] = _sample(
                sink, scale(events), batch, settings, directory
            )
    return made


def _sample(
    sink: SpeedSink,
    events: int,
    batch: int,
    settings: Mapping[str, Any],
    directory: Path | None = None,
) -> Callable[[], Sample]:
    def take(**spool: str) -> Sample:
        config = wire(sink.url, flush_actions_batch_size=batch, **settings, **spool)
        taken = fresh(load.run, config=config, events=events, warm_up=events // 10)
        check(taken)
        return taken

    def sample() -> Sample:
        if directory is None:
            return take()
        with tempfile.TemporaryDirectory(dir=directory) as spool:
            return take(spool_dir=spool)

    return sample
