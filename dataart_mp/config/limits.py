"""What to do about an error of the system: which limit to raise."""

import errno
from typing import Final

MORE_THREADS: Final = (
    "raise the limits of memory and of processes and threads (ulimit -u, docker --pids-limit)"
)
"""What to do if no thread or process can be started."""

_REMEDIES: Final = {
    errno.EMFILE: "raise the limit of open files of the process (ulimit -n)",
    errno.ENFILE: "raise the limit of open files of the system (fs.file-max)",
    errno.ENOMEM: "raise the limit of memory, or lower flush_buffer_size or max_request_bytes",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f), or lower flush_buffer_size or "
    "max_request_bytes",
    errno.ENOSPC: "free disk space, or lower flush_buffer_size or max_request_bytes",
    errno.EDQUOT: "raise the disk quota, or lower flush_buffer_size or max_request_bytes",
    errno.EAGAIN: MORE_THREADS,
    errno.ENOLCK: "choose a directory on a local disk: this file system has no locks",
}


def remedy(error: OSError) -> str:
    """Return what makes a call of the system succeed that failed with `error`, as an imperative."""
    return _REMEDIES.get(error.errno or 0, "choose a directory on a local disk")
