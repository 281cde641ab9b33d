"""How far a shipment has come, in a file beside its input, so that another run can go on there.

    {"version": 1, "base_url": "https://…", "complete": false,
     "files": {"/data/events.jsonl": {"lines": 120000, "crc": 3735928559}}}

It says of each file: of its first lines every event is settled, which is that the platform has it,
or has refused it for good. What comes after them may have been sent, too, or not.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from dataart_mp.cli.row import Position
from dataart_mp.errors import DataArtError

SUFFIX: Final = ".checkpoint"

_VERSION: Final = 1


class CheckpointError(DataArtError):
    """There is a checkpoint with which a run cannot go on; the message says what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """The content of such a file.

    Attributes:
        base_url: The platform that has it.
        positions: How far each file is settled, by its absolute path.
        complete: Whether all files were shipped to their ends.
    """

    base_url: str
    positions: Mapping[str, Position]
    complete: bool = False

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read one; None: there is none.

        Raises:
            CheckpointError: What is there is none, or cannot be read.
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
            raise CheckpointError(f"{path}: is no checkpoint; remove it to begin anew") from None

    def write(self, path: Path) -> None:
        """Put it in the place of the one before, at once: a crash leaves the one or the other.

        Raises:
            OSError: The file cannot be written.
        """
        new = path.with_name(f"{path.name}.new")
        with new.open("w", encoding="utf-8") as stream:
            json.dump(self._content(), stream)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(path)

    def _content(self) -> dict[str, Any]:
        files = {file: position._asdict() for file, position in self.positions.items()}
        told = {"version": _VERSION, "base_url": self.base_url, "complete": self.complete}
        return {**told, "files": files}
