"""A connection to an SQLite file of the spool."""

import os
import sqlite3
from pathlib import Path
from typing import Final

TIMEOUT_SECONDS: Final = 5.0
"""How long to wait while another process or thread writes."""


def connect(file: Path, layout: str) -> sqlite3.Connection:
    """Open an existing file, empty or not, and create its tables if they do not exist.

    Raises:
        sqlite3.Error: The file cannot be used.
    """
    connection = sqlite3.connect(
        file,
        timeout=TIMEOUT_SECONDS,
        isolation_level=None,
        check_same_thread=False,  # the caller lets one thread at a time use it
    )
    # A damaged text must not hold up the other rows.
    connection.text_factory = lambda text: text.decode(errors="replace")
    try:
        if not connection.execute("PRAGMA page_count").fetchone()[0]:
            # Only for a new file: for an existing one, each process that opens it would write.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute(f"PRAGMA user_version = {1 + int.from_bytes(os.urandom(3))}")
        connection.executescript(layout)
    except BaseException:
        connection.close()
        raise
    return connection
