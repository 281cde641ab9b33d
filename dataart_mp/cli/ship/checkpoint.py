"""The checkpoint: a file beside the input that records how far it has been shipped.

    {"version": 1, "base_url": "https://…", "complete": false,
     "files": {"/data/events.jsonl": {"lines": 120000, "crc": 3735928559}}}

All events in the first `lines` lines of a file are settled: the platform has accepted them, or
rejected them permanently. Later lines may have been sent, too.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from dataart_mp.cli.input.row import Position
from dataart_mp.cli.ship.private_file import write_private
from dataart_mp.errors import DataArtError

SUFFIX: Final = ".checkpoint"

_VERSION: Final = 1


class CheckpointError(DataArtError):
    """A run cannot continue from a checkpoint; the message says what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint file.

    Attributes:
        base_url: The URL of the platform that the events were sent to.
        positions: How far each file is settled, by its absolute path.
        complete: Whether all files have been shipped to their ends.
    """

    base_url: str
    positions: Mapping[str, Position]
    complete: bool = False

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read a checkpoint file.

        Returns:
            The checkpoint; None: the file does not exist.

        Raises:
            CheckpointError: The file is not a checkpoint, or cannot be read.
        """
        try:
            content = json.loads(path.read_bytes())
            if content["version"] != _VERSION:
                raise CheckpointError(f"{path}: was written by a newer dataart-mp; upgrade")
            positions = {
                file: Position(int(entry["lines"]), int(entry["crc"]))
                for file, entry in content["files"].items()
            }
            return cls(str(content["base_url"]), positions, content["complete"] is True)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CheckpointError(f"{path}: {error.strerror}") from None
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            remedy = "remove it to ship from the start"
            raise CheckpointError(f"{path}: is not a checkpoint; {remedy}") from None

    def write(self, path: Path) -> None:
        """Replace the checkpoint file; see `write_private`.

        Raises:
            OSError: The file cannot be written.
        """
        write_private(path, json.dumps(self._as_json()).encode() + b"\n")

    def _as_json(self) -> dict[str, Any]:
        return {
            "version": _VERSION,
            "base_url": self.base_url,
            "complete": self.complete,
            "files": {file: position._asdict() for file, position in self.positions.items()},
        }
