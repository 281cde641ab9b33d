"""Compile the hot path in another way than the installed one."""

import shlex
import subprocess
import sysconfig
from pathlib import Path

import dataart_mp

SOURCE = Path(dataart_mp.__file__).with_name("_hot_path.c")


def compile_hot_path(directory: Path, *options: str) -> Path:
    """Compile it into a directory; return the path of the library.

    Args:
        directory: Where the library is written to.
        options: Further options of the compiler.
    """
    library = directory / f"_hot_path{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = sysconfig.get_path("include")
    compiler = shlex.split(sysconfig.get_config_var("CC"))
    files = [f"-I{include}", str(SOURCE), "-o", str(library)]
    flags = ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*compiler, *flags, *options, *files], check=True)
    return library
