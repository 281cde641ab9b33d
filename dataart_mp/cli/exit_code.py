"""How a command ended, as a shell sees it."""

from enum import IntEnum
from typing import Final

EXIT_CODES_HELP: Final = """\b
Exit codes:
  0    all is delivered
  1    some is not: pending, parked, dropped, rejected, or retries exhausted
  2    wrong usage or configuration; nothing was read
  3    bad input: a row or a file; all else that was read is delivered
  130  stopped by Ctrl-C (143: by SIGTERM)
  141  the reader of the output has gone"""


class ExitCode(IntEnum):
    """The codes of all commands. Where two fit, an earlier line of this list is given.

    Attributes:
        INTERRUPTED: Stopped by Ctrl-C.
        TERMINATED: Stopped by SIGTERM.
        BROKEN_PIPE: Whoever read the output has gone.
        USAGE: Wrong usage or configuration.
        NOT_DELIVERED: Something was not delivered; the demo: the audit found a fault.
        BAD_INPUT: A line was bad, or a file could not be read to its end.
        OK: All is well.
    """

    INTERRUPTED = 130
    TERMINATED = 143
    BROKEN_PIPE = 141
    USAGE = 2
    NOT_DELIVERED = 1
    BAD_INPUT = 3
    OK = 0
