"""The lock of a checkpoint: two runs at the same time would send the same events twice.

The lock is a separate file beside the checkpoint, because every write replaces the checkpoint file.
The kernel releases the lock when its process ends, even after `kill -9`.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dataart_mp.cli.ship.checkpoint import CheckpointError
from dataart_mp.spool.permissions import PRIVATE_FILE

_SUFFIX: Final = ".lock"


@contextlib.contextmanager
def checkpoint_lock(checkpoint: Path | None) -> Iterator[None]:
    """Hold the lock of a checkpoint during a `with` block.

    Args:
        checkpoint: The checkpoint's file, which need not exist; None: the run has no checkpoint.

    Raises:
        CheckpointError: Another run holds the lock.
    """
    if checkpoint is None:
        yield
        return
    file = checkpoint.with_name(checkpoint.name + _SUFFIX)
    try:
        descriptor = _acquire(file)
    except BlockingIOError:
        problem = "another run is using it; wait until it ends, or set another with --checkpoint"
        raise CheckpointError(f"{checkpoint}: {problem}") from None
    except OSError:  # the directory is not writable; the run reports that for the checkpoint
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # the directory is no longer writable
            file.unlink()  # before the lock is released
        os.close(descriptor)


def _acquire(file: Path) -> int:
    """Lock a file and return its descriptor.

    Raises:
        BlockingIOError: Another process has locked it.
        OSError: It can be neither created nor opened.
    """
    while True:
        descriptor = _open(file)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_same_file(descriptor, file):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its previous holder removed the file after it was opened here


def _open(file: Path) -> int:
    """Open or create a file; a symbolic link, which could lead to any other file, is removed."""
    flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(file, flags, PRIVATE_FILE)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    file.unlink(missing_ok=True)
    return os.open(file, flags, PRIVATE_FILE)


def _is_same_file(descriptor: int, file: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), file.lstat())
    return False
