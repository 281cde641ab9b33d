"""The brief: everything that a starter passes to a new worker process.

It is written to the standard input of the process, as JSON. Nothing is passed in arguments or in
the environment, where other processes could read the API key.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from dataart_mp.config import ClientConfig
from dataart_mp.supervision.wiring import Inheritance


@dataclass(frozen=True, slots=True)
class Brief:
    """What a worker process needs to know.

    Attributes:
        import_path: Absolute directories for `sys.path`, before anything else is imported; None
            for those of the worker's interpreter itself.
        ignored_signals: Numbers of the signals that the worker ignores.
        inheritance: The descriptors of the queue and the wiring, by their numbers in the worker.
        place: Number of the worker's place.
        arena_path: File of the arena; None if it has no name.
        config: The client's settings. `on_failure` is not passed on.
    """

    import_path: list[str] | None
    ignored_signals: list[int]
    inheritance: Inheritance
    place: int
    arena_path: Path | None
    config: ClientConfig

    def to_wire(self) -> bytes:
        """Return the brief as JSON. It contains secrets."""
        return json.dumps(
            {
                "import_path": self.import_path,
                "ignored_signals": self.ignored_signals,
                "inheritance": asdict(self.inheritance),
                "place": self.place,
                "arena_path": None if self.arena_path is None else str(self.arena_path),
                "config": self.config.to_wire(),
            }
        ).encode()

    @classmethod
    def from_wire(cls, text: bytes) -> Self:
        """Make a brief from the result of `to_wire`."""
        data = json.loads(text)
        return cls(
            import_path=data["import_path"],
            ignored_signals=data["ignored_signals"],
            inheritance=Inheritance(**data["inheritance"]),
            place=data["place"],
            arena_path=None if data["arena_path"] is None else Path(data["arena_path"]),
            config=ClientConfig.from_wire(data["config"]),
        )
