"""The lock of a checkpoint: one run at a time, for two would send the same events twice.

It is a file beside the checkpoint, whose own file is another one with each writing. The kernel lets
go of it when its run ends, however that one dies.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dataart_mp.cli.checkpoint import CheckpointError
from dataart_mp.spool.permissions import PRIVATE_FILE

_SUFFIX: Final = ".lock"


@contextlib.contextmanager
def checkpoint_lock(checkpoint: Path | None) -> Iterator[None]:
    """Inside, no other run uses this checkpoint.

    Args:
        checkpoint: Its file, which needs not be there; None: the run keeps none.

    Raises:
        CheckpointError: Another run is using it.
    """
    if checkpoint is None:
        yield
        return
    file = checkpoint.with_name(checkpoint.name + _SUFFIX)
    try:
        held = _acquire(file)
    except BlockingIOError:
        problem = "another run is using it; wait for its end, or name another by --checkpoint"
        raise CheckpointError(f"{checkpoint}: {problem}") from None
    except OSError:  # a directory where no checkpoint can be written either; the run tells of that
        yield
        return
    try:
        yield
    finally:
        file.unlink(missing_ok=True)  # while it is held
        os.close(held)


def _acquire(file: Path) -> int:
    """The locked file's descriptor.

    Raises:
        BlockingIOError: Another process has locked it.
        OSError: It can be neither made nor opened.
    """
    while True:
        descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, file):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # who had it before has removed it since we opened it


def _is_at(descriptor: int, file: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), file.stat())
    return False
