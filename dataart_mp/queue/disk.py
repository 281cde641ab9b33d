"""The disk: how what was written gets there, and stays there when the power fails.

`fsync` does it on Linux. On macOS it only reaches the disk's own cache; F_FULLFSYNC empties that.
"""

import fcntl
import os
import sys
from pathlib import Path

if sys.platform == "darwin":

    def sync_file(fd: int) -> None:
        """Bring the content of a file to the disk, and its size."""
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)

    sync_content = sync_file
else:

    def sync_file(fd: int) -> None:
        """Bring the content of a file to the disk, and its size."""
        os.fsync(fd)

    def sync_content(fd: int) -> None:
        """Bring the content of a file to the disk whose size was there already."""
        os.fdatasync(fd)


def sync_directory(path: Path) -> None:
    """Bring the names in a directory to the disk: files that were made, renamed or removed."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
