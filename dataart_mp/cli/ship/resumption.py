"""Where a run starts, and where it writes its checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from dataart_mp.cli.input.row import Position
from dataart_mp.cli.input.source import STDIN
from dataart_mp.cli.ship.checkpoint import SUFFIX, Checkpoint, CheckpointError

_STDIN_KEY: Final = "<stdin>"


@dataclass(frozen=True, kw_only=True)
class Resumption:
    """The state that a run takes over from earlier runs.

    Attributes:
        path: The checkpoint's file; None: this run has no checkpoint.
        start: The positions up to which earlier runs have shipped, by file name.
        stays: Whether the checkpoint is kept when everything is shipped, so that a later run can
            ship what has been appended to the files.
        others: The positions in files that this run does not ship, by absolute path.
        others_are_complete: Whether all of these files were shipped to their ends.
    """

    path: Path | None = None
    start: Mapping[str, Position] = field(default_factory=dict)
    stays: bool = False
    others: Mapping[str, Position] = field(default_factory=dict)
    others_are_complete: bool = True

    @classmethod
    def plan(
        cls,
        files: Sequence[str],
        base_url: str,
        *,
        checkpoint: Path | None,
        resume: bool,
        restart: bool,
    ) -> Self:
        """Read the checkpoint, and decide where to start.

        Args:
            files: The files to ship.
            base_url: The URL of the platform.
            checkpoint: The checkpoint's file; None: beside the first of the files.
            resume: Whether to continue from the checkpoint.
            restart: Whether to ignore the checkpoint.

        Raises:
            CheckpointError: The user must choose between the two, or the checkpoint is for another
                platform.
        """
        path = checkpoint or default_checkpoint(files)
        if path is None:
            if resume:
                problem = "standard input and pipes have no default checkpoint"
                raise CheckpointError(f"--resume: {problem}; set one with --checkpoint FILE")
            return cls()
        stays = resume or checkpoint is not None
        found = None if restart else Checkpoint.read(path)
        if found is None or (found.complete and not resume):
            return cls(path=path, stays=stays)
        if not resume:
            problem = "an earlier run was interrupted; continue with --resume, or start over with"
            raise CheckpointError(f"{path}: {problem} --restart")
        if found.base_url != base_url:
            problem = f"the earlier run shipped to {found.base_url}, not to {base_url}"
            raise CheckpointError(f"{path}: {problem}; start over with --restart")
        names = {key_of(file): file for file in files}
        start = {names[key]: at for key, at in found.positions.items() if key in names}
        others = {key: at for key, at in found.positions.items() if key not in names}
        return cls(
            path=path,
            start=start,
            stays=stays,
            others=others,
            others_are_complete=not others or found.complete,
        )

    def by_path(self, positions: Mapping[str, Position]) -> dict[str, Position]:
        """Return positions by absolute path, including those of files that this run omits.

        Args:
            positions: The positions by file name, as the user gave it.
        """
        return {**self.others, **{key_of(file): at for file, at in positions.items()}}


def key_of(file: str) -> str:
    """Return the absolute path of a file; `-` and `<stdin>` are both standard input."""
    return _STDIN_KEY if file in (STDIN, _STDIN_KEY) else str(Path(file).resolve())


def default_checkpoint(files: Sequence[str]) -> Path | None:
    """Return the checkpoint beside the first file; None: a file cannot be read twice."""
    if any(file == STDIN or not Path(file).is_file() for file in files):
        return None
    return Path(files[0] + SUFFIX)
