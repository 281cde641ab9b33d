"""The exit codes of all commands."""

from enum import IntEnum
from typing import Final

EXIT_CODES_HELP: Final = """\b
Exit codes:
  0    all events are delivered
  1    some are not: pending, parked, dropped, rejected, or retries exhausted
  2    wrong usage or configuration; nothing was read
  3    bad input: a row or a file; all other events that were read are delivered
  130  stopped by Ctrl-C (143: by SIGTERM)
  141  the reader of the output closed it"""


class ExitCode(IntEnum):
    """The exit codes. Where two apply, the one that is listed first is returned.

    Attributes:
        INTERRUPTED: Stopped by Ctrl-C.
        TERMINATED: Stopped by SIGTERM.
        BROKEN_PIPE: The reader of the output closed it.
        USAGE: Wrong usage or configuration.
        NOT_DELIVERED: Some events were not delivered, or a check or the audit failed.
        BAD_INPUT: A row was bad, or a file could not be read to its end.
        OK: The command succeeded.
    """

    INTERRUPTED = 130
    TERMINATED = 143
    BROKEN_PIPE = 141
    USAGE = 2
    NOT_DELIVERED = 1
    BAD_INPUT = 3
    OK = 0
