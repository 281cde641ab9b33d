"""What a user is told on standard error."""

import sys
from typing import Final

import click

PROGRAM: Final = "dataart-mp"


def tell(text: str) -> None:
    """Write a line, above the progress bar if there is one."""
    # By name: while there is a bar, sys.stderr is a stand-in that knows of it, which click's own
    # `err=True` goes around.
    click.echo(text, file=sys.stderr)


def warn(text: str) -> None:
    """Write a line, and by whom."""
    tell(f"{PROGRAM}: {text}")
