"""The error of a file that cannot be read."""

from dataart_mp.errors import DataArtError


class InputError(DataArtError):
    """A file cannot be read, or not to its end; the message names the file and the reason."""
