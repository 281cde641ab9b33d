"""What ends the reading of a file."""

from dataart_mp.errors import DataArtError


class InputError(DataArtError):
    """A file cannot be read, or not to its end; the message names it, and the reason."""
