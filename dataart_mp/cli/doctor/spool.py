"""Checks that a client can use the spool directory."""

import dataclasses
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Final

from dataart_mp import Client, ClientConfig
from dataart_mp.cli.doctor.finding import FailedError, Finding, ok, skipped, warning
from dataart_mp.cli.doctor.memory import buffer_bytes, mib
from dataart_mp.errors import ConfigError
from dataart_mp.spool.arenas import Spool
from dataart_mp.spool.dead_letters import DeadLetters

SPOOL: Final = "spool"


def check_spool(config: ClientConfig) -> Finding:
    """Create and remove a client's buffer in the spool directory, and count its dead letters.

    A directory that does not exist is not created; it is checked whether a client could do so.

    Args:
        config: The configuration of the client.

    Raises:
        FailedError: A client cannot use the directory.
    """
    folder = config.spool_dir
    if folder is None:
        return skipped(SPOOL, "no spool_dir is set: pending events are lost with the machine")
    if not os.path.lexists(folder):
        return _check_parent(config, Path(folder).absolute())
    try:
        _try_buffer(config, Path(folder))
    except ConfigError as error:
        remedy = "or set DATAART_SPOOL_DIR to another directory"
        raise FailedError(SPOOL, str(error), remedy) from None
    except OSError as error:
        remedy = "set DATAART_SPOOL_DIR to another directory"
        raise FailedError(SPOOL, f"{folder}: {error.strerror}", remedy) from None
    letters = sum(1 for _ in DeadLetters(Path(folder)))
    if letters:
        requests = "1 request has" if letters == 1 else f"{letters:,} requests have"
        detail = f"{folder}: writable; {requests} failed permanently"
        return warning(SPOOL, detail, f"see dataart-mp spool ls {folder}")
    return ok(SPOOL, f"{folder}: writable, with room for {mib(buffer_bytes(config))}")


def _check_parent(config: ClientConfig, folder: Path) -> Finding:
    """Check that a client could create the directory."""
    parent = next(parent for parent in folder.parents if parent.exists())
    if not parent.is_dir():
        remedy = "set DATAART_SPOOL_DIR to another directory"
        raise FailedError(SPOOL, f"{folder}: {parent} is not a directory", remedy)
    if not os.access(parent, os.W_OK | os.X_OK):
        remedy = f"create it for user {os.geteuid()}, mode 700, or set DATAART_SPOOL_DIR"
        raise FailedError(SPOOL, f"{folder} cannot be created: {parent} is not writable", remedy)
    needed = buffer_bytes(config)
    free = shutil.disk_usage(parent).free
    if free < needed:
        detail = f"{folder} needs {mib(needed)}, and its disk has {mib(free)}"
        raise FailedError(SPOOL, detail, "free disk space: df -h, or set DATAART_SPOOL_DIR")
    return ok(SPOOL, f"{folder} does not exist; a client can create it, with {mib(needed)}")


def _try_buffer(config: ClientConfig, folder: Path) -> None:
    """Create a client whose spool is a temporary directory inside the spool, and close it."""
    Spool(folder)
    inner = tempfile.mkdtemp(prefix="doctor-", dir=folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about unencrypted connections; route reports them
            Client(dataclasses.replace(config, spool_dir=Path(inner))).close(0)
    finally:
        shutil.rmtree(inner)
