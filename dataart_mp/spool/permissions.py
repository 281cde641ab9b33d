"""Permissions of the spool's files: only their user may read them, for events are personal data."""

from typing import Final

PRIVATE_FILE: Final = 0o600
PRIVATE_DIRECTORY: Final = 0o700
