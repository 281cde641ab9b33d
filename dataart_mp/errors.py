"""What can go wrong, by name. Every error survives pickling."""


class DataArtError(Exception):
    """Base of all errors that this package raises on purpose."""


class ConfigError(DataArtError, ValueError):
    """A setting is missing or wrong; the message names field, value and remedy."""


class EventError(DataArtError, ValueError):
    """An event cannot be sent as it is; the message names the path, the value and the remedy."""


class BufferFullError(DataArtError):
    """No frame is free: `overflow="raise"`, or `block_timeout` is over, or no worker can start."""


class ClosedError(DataArtError):
    """The client is closed; emit before `close()`, or make another client."""
