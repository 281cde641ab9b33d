"""The checkpoint of a part: the keys of its requests that are settled, in a directory.

    <checkpoint>/<source>/<part>/<attempt>-<number>.keys      one key in each line

An attempt reads the files of all earlier ones, and writes its own, so attempts that overlap do not
disturb each other. A line without its end, which a process that died has left, does not count.
"""

import uuid
from typing import Any, Final, Protocol

from dataart_mp import clock

_KEYS_IN_A_FILE: Final = 64
_SECONDS_BETWEEN_FILES: Final = 5.0


class Checkpoint(Protocol):
    """Remembers which requests are settled."""

    def __contains__(self, key: str) -> bool:
        """Return whether a request with this key is settled."""

    def add(self, key: str) -> None:
        """Note that a request is settled."""

    def flush(self) -> None:
        """Store what was added."""


class NoCheckpoint:
    """Remembers nothing."""

    def __contains__(self, key: str) -> bool:
        return False

    def add(self, key: str) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing."""


class KeyFiles:
    """A checkpoint on a file system of `pyarrow.fs`.

    Args:
        uri: The directory, for all jobs: a URI such as `s3://bucket/keys`, or an absolute path.
        source: The name of the job.
        part: The name of the part.

    Raises:
        Exception: The file system cannot be used, for this and all methods.
    """

    def __init__(self, uri: str, source: str, part: str) -> None:
        from pyarrow import fs

        self._files: Any
        self._files, root = fs.FileSystem.from_uri(uri)
        self._directory = f"{root}/{source}/{part}"
        self._files.create_dir(self._directory, recursive=True)
        self._attempt = uuid.uuid4().hex
        self._count = 0
        self._new: list[str] = []
        self._written_at = clock.monotonic()
        self._known = self._read(fs.FileSelector(self._directory))

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def add(self, key: str) -> None:
        """Note that a request is settled, and store such keys from time to time."""
        self._new.append(key)
        is_due = clock.monotonic() - self._written_at > _SECONDS_BETWEEN_FILES
        if is_due or len(self._new) >= _KEYS_IN_A_FILE:
            self.flush()

    def flush(self) -> None:
        """Store what was added since the last time."""
        self._written_at = clock.monotonic()
        if not self._new:
            return
        self._count += 1
        path = f"{self._directory}/{self._attempt}-{self._count}.keys"
        with self._files.open_output_stream(path) as stream:
            stream.write("".join(f"{key}\n" for key in self._new).encode())
        self._new = []

    def _read(self, selector: Any) -> set[str]:
        keys: set[str] = set()
        for info in self._files.get_file_info(selector):
            with self._files.open_input_stream(info.path) as stream:
                *whole, _ = stream.read().decode().split("\n")
            keys.update(whole)
        return keys
