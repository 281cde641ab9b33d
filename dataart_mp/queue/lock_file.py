"""The lock file: the file whose bytes the record locks of an arena lie on.

POSIX drops all of a process's record locks on a file when the process closes *any* descriptor of
that file. The arena's own file is not a place for them: a backup, a checksum or `tar` in the
application opens and closes it, and anonymous memory can be opened through `/proc/self/fd`. So the
locks lie on an unconnected socket. It has an inode like every file, no path leads to it, and
`/proc` does not open sockets (ENXIO). Only closing the descriptor itself drops the locks.

Record locks on a socket work on Linux. Elsewhere the locks lie on an anonymous file.
"""

import fcntl
import os
import socket

from dataart_mp.queue.anonymous_file import anonymous_file


def make() -> int:
    """Return the descriptor of a new lock file; the caller closes it.

    Raises:
        OSError: No descriptor is left, or the system has no room for locks (ENOLCK).
    """
    fd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).detach()
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(fd, fcntl.LOCK_UN)
    except OSError:  # this system has no record locks on sockets
        os.close(fd)
    else:
        return fd
    fd = anonymous_file()
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(fd, fcntl.LOCK_UN)
    except OSError:
        os.close(fd)
        raise
    return fd
