"""Compile `dataart_mp/_hot_path.c` when the package is built or installed, if that is possible.

Without a compiler, the package is complete and slower. The environment variable
`DATAART_MP_COMPILED` set to 1 makes a failure an error, and 0 builds the pure package.
"""

import os
import shutil
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext

MODULE = "dataart_mp._hot_path"
SOURCE = "dataart_mp/_hot_path.c"


class HotPath(BuildHookInterface[Any]):
    """Adds the compiled module to a wheel; for an editable install, beside its source."""

    PLUGIN_NAME = "custom"
    _directory: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, before the files of the wheel are collected.

        Args:
            version: "editable" or "standard".
            build_data: What is to be built; the compiled module is added to it.
        """
        wanted = os.environ.get("DATAART_MP_COMPILED", "")
        if wanted == "0":
            return
        self._directory = tempfile.TemporaryDirectory()
        try:
            library = self._compile(self._directory.name)
        except Exception as error:  # there is no compiler, no Python.h, no memory, …
            if wanted == "1":
                raise
            self.app.display_warning(
                f"dataart-mp: {SOURCE} was not compiled, so emit_action is slower: {error}"
            )
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        if version == "editable":
            _replace(Path(self.root, "dataart_mp", library.name), library)
        else:
            build_data["force_include"][str(library)] = f"dataart_mp/{library.name}"

    def finalize(self, *_: object) -> None:
        """Remove the temporary files, when the wheel is complete."""
        if self._directory is not None:
            self._directory.cleanup()

    def _compile(self, directory: str) -> Path:
        if sysconfig.get_config_var("Py_GIL_DISABLED"):
            raise RuntimeError("this interpreter has no GIL")
        arguments = ["-O2", "-g0", "-Wall", "-Wextra"]
        extension = Extension(MODULE, [str(Path(self.root, SOURCE))], extra_compile_args=arguments)
        command = build_ext(Distribution({"name": "dataart-mp", "ext_modules": [extension]}))
        command.build_lib, command.build_temp = directory, str(Path(directory, "objects"))
        command.ensure_finalized()
        command.run()
        return Path(command.get_ext_fullpath(MODULE))


def _replace(target: Path, source: Path) -> None:
    """Copy a file in one step: a running process may have mapped the one that it replaces."""
    temporary = target.with_suffix(f".{os.getpid()}.new")
    shutil.copy(source, temporary)
    temporary.replace(target)
