"""What the sink writes to the terminal: nothing in it can control the terminal or fake a line."""

from __future__ import annotations

import logging
from typing import Any, Final


def printable(text: str) -> str:
    r"""Return a text with all characters escaped that are not printable: `\x1b`, `\n`, `\u202e`."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )


class PrintableFormatter(logging.Formatter):
    """Writes a message on one line, and its traceback on indented lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name in logging
        """Return the line of a record."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name in logging
        """Return the lines of a traceback; none of them can be taken for a message."""
        lines = super().formatException(ei).splitlines()
        return "\n".join(f"    {printable(line)}" for line in lines)


LOGGING: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"printable": {"()": PrintableFormatter, "fmt": "%(levelname)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "printable"}},
    "loggers": {
        name: {"handlers": ["stderr"], "level": "ERROR", "propagate": False}
        for name in ("asyncio", "dataart_mp.devsink", "uvicorn")
    },
}
