"""A nameless file: memory that a descriptor leads to, and no path; it goes with its last holder."""

import os
import tempfile


def anonymous_file() -> int:
    """The descriptor of a new, empty one, for its caller to close."""
    # memfd is not bound by the size of /dev/shm, which a container limits to 64 MB.
    if hasattr(os, "memfd_create"):
        return os.memfd_create("dataart_mp", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile(prefix="dataart_mp") as file:
        return os.dup(file.fileno())
