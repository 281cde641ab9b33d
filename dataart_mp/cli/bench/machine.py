"""A description of the machine that a measurement runs on."""

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from dataart_mp.config.cpus import available_cpus

_PACKAGES: Final = ("dataart-mp", "orjson", "urllib3", "uvloop")


def machine() -> dict[str, Any]:
    """Return the processor, the system, and the versions of Python and the packages."""
    return {
        "cpu": _processor(),
        "cpus": available_cpus(),
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def moment() -> dict[str, Any]:
    """Return the current time and the load average."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
