"""The file that holds the API key, for secrets that are rotated while applications run."""

import os
from pathlib import Path
from typing import Final

from dataart_mp.config.setting import config_error
from dataart_mp.errors import ConfigError

_MAX_BYTES: Final = 8192  # a key is sent in a header; a larger file is another one

FIELD: Final = "api_key_file"


def file_path(field: str, value: object) -> str:
    """Check the path of a file that need not exist yet. It is kept as an absolute path."""
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise config_error(field, value, "must be the path of a file; pass a str or a Path")
    if not os.fspath(value) or "\0" in os.fspath(value):
        raise config_error(field, value, "must be a non-empty path without NUL")
    return str(Path(value).absolute())  # worker processes have another working directory


def read(path: str) -> str:
    """Return the content of a file, without spaces and line breaks around it.

    Args:
        path: The file.

    Raises:
        ConfigError: It cannot be read as the text of a key; the message does not quote it.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{FIELD}={path!r}: {error.strerror}; correct the path", FIELD) from None
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        raise ConfigError(f"{FIELD}={path!r}: is not text; write the key to it", FIELD) from None
    if len(content) > _MAX_BYTES:
        raise ConfigError(f"{FIELD}={path!r}: is too large for a key", FIELD)
    return text
