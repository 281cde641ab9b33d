"""Where a sender gets the API key from: the configuration, or a file that may change."""

from pathlib import Path

from dataart_mp.config import ClientConfig
from dataart_mp.errors import ConfigError


class KeySource:
    """The API key of a sender, and the file that it comes from, if it comes from one.

    Args:
        config: The configuration.

    Attributes:
        key: The key; empty as long as the file cannot be read.
        problem: Why the file cannot be read; None if it can. It does not quote the key.
    """

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self._file = None if config.api_key_file is None else Path(config.api_key_file)
        self._seen: tuple[int, int, int] | None = None
        self.key = config.api_key
        self.problem: str | None = None
        self.reload()

    def has_changed(self) -> bool:
        """Return whether the file is another one than the one that was read. This costs a stat."""
        return self._file is not None and _identity(self._file) != self._seen

    def reload(self) -> bool:
        """Read the file again, if there is one; return whether the key is another one."""
        if self._file is None:
            return False
        seen = _identity(self._file)  # before it is read: if it changes meanwhile, it is read again
        try:
            key, self.problem = self._config.read_api_key(), None
        except ConfigError as error:  # it is being replaced, for example
            self.problem = str(error)
            return False
        self._seen = seen
        is_new, self.key = key != self.key, key
        return is_new


def _identity(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
