"""Messages to the user on standard error."""

import sys
from typing import Final

import click

PROGRAM: Final = "dataart-mp"


def report(text: str) -> None:
    """Write a line to standard error, above the progress bar if there is one."""
    # Passed as a file: the progress bar replaces sys.stderr, and click's `err=True` bypasses that.
    click.echo(text, file=sys.stderr)


def warn(text: str) -> None:
    """Write a line to standard error, prefixed with the name of the program."""
    report(f"{PROGRAM}: {text}")
