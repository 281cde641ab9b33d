"""zstd: which module compresses with it here."""

import importlib.util


def zstd_module() -> str | None:
    """Return the name of the module that implements zstd, or None if there is none.

    Nothing is imported but the package `backports`, which is empty.
    """
    # compression.zstd is part of Python from 3.14 on, but only works with this C extension,
    # which a build of Python may lack.
    if importlib.util.find_spec("_zstd") is not None:
        return "compression.zstd"
    return "backports.zstd" if _has_backport() else None


def _has_backport() -> bool:
    try:
        return importlib.util.find_spec("backports.zstd") is not None
    except ModuleNotFoundError:  # there is no package `backports` either
        return False
