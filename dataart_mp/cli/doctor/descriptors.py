"""Checks that a process may open enough files."""

import resource
from typing import Final

from dataart_mp import ClientConfig
from dataart_mp.cli.doctor.finding import FailedError, Finding, ok

DESCRIPTORS: Final = "descriptors"
RAISE_LIMIT: Final = "ulimit -n 1024; systemd: LimitNOFILE=; docker: --ulimit nofile=1024"
"""The remedy when a process may not open enough files."""

_WORKER_DESCRIPTORS: Final = 32  # in addition to its connections
_CLIENT_DESCRIPTORS: Final = 16


def check_descriptors(config: ClientConfig, limit: int | None = None) -> Finding:
    """Compare the limit of open files of a process with what a client needs.

    Args:
        config: The configuration of the client.
        limit: Number of files that a process may open; None: read from the kernel.

    Raises:
        FailedError: The limit is too low.
    """
    if limit is None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return ok(DESCRIPTORS, "no limit")
    connections = -(-config.flush_num_workers // config.num_processes)
    need = max(connections + _WORKER_DESCRIPTORS, config.num_processes + _CLIENT_DESCRIPTORS)
    detail = f"a process may open {limit:,}; a worker opens up to {need:,}"
    if limit < need:
        raise FailedError(DESCRIPTORS, detail, RAISE_LIMIT)
    return ok(DESCRIPTORS, detail)
