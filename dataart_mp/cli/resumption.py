"""Where a run begins, and where it leaves its checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from dataart_mp.cli.checkpoint import SUFFIX, Checkpoint, CheckpointError
from dataart_mp.cli.row import Position
from dataart_mp.cli.source import STDIN

_STDIN_KEY: Final = "<stdin>"


@dataclass(frozen=True, kw_only=True)
class Resumption:
    """What is known of runs before this one.

    Attributes:
        path: The checkpoint's file; None: this run keeps none.
        start: How far each file was shipped before, by its name.
        stays: Whether the checkpoint is kept when all is shipped, for what the files may grow.
        others: How far files were shipped that this run leaves out, by their absolute paths.
        others_are_complete: Whether all of them were shipped to their ends.
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
        """Find out where to begin.

        Args:
            files: What is to be shipped.
            base_url: Whereto.
            checkpoint: The checkpoint's file; None: beside the first of the files.
            resume: Whether to go on where the run before was interrupted.
            restart: Whether to begin anew, whatever came of it.

        Raises:
            CheckpointError: The user has to decide, or the checkpoint belongs to something else.
        """
        path = checkpoint or beside(files)
        if path is None:
            if resume:
                problem = "of standard input and pipes there is no checkpoint beside the file"
                raise CheckpointError(f"--resume: {problem}; name one by --checkpoint FILE")
            return cls()
        stays = resume or checkpoint is not None
        found = None if restart else Checkpoint.read(path)
        if found is None or (found.complete and not resume):
            return cls(path=path, stays=stays)
        if not resume:
            problem = "a run was interrupted here; go on by --resume, or begin anew by --restart"
            raise CheckpointError(f"{path}: {problem}")
        if found.base_url != base_url:
            problem = f"it was shipped to {found.base_url}, not to {base_url}"
            raise CheckpointError(f"{path}: {problem}; begin anew by --restart")
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

    def keyed(self, positions: Mapping[str, Position]) -> dict[str, Position]:
        """Positions by what names a file wherever the next run is started; the others', too."""
        return {**self.others, **{key_of(file): at for file, at in positions.items()}}


def key_of(file: str) -> str:
    """The absolute path of a file; `-` and `<stdin>` are standard input."""
    return _STDIN_KEY if file in (STDIN, _STDIN_KEY) else str(Path(file).resolve())


def beside(files: Sequence[str]) -> Path | None:
    """Where a checkpoint is beside files: at the first of them, if all can be read again."""
    if any(file == STDIN or not Path(file).is_file() for file in files):
        return None
    return Path(files[0] + SUFFIX)
