"""An anonymous file: memory that a descriptor leads to, and no path. It goes with its last user."""

import os
import tempfile


def anonymous_file() -> int:
    """Return the descriptor of a new, empty one; the caller closes it."""
    # memfd is not bound by the size of /dev/shm, which a container limits to 64 MB.
    if hasattr(os, "memfd_create"):
        return os.memfd_create("dataart_mp", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile(prefix="dataart_mp") as file:
        return os.dup(file.fileno())
