"""Permissions of what the spool holds: it is its user's alone, for events are personal data."""

from typing import Final

PRIVATE_FILE: Final = 0o600
PRIVATE_DIRECTORY: Final = 0o700
