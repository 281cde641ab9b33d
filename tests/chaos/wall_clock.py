"""A wall clock that the harness steps, while all other clocks run on.

The processes of the applications preload a small library, which is compiled for the run. It adds an
offset, which all of them map, to the wall clock. The driver and the sink keep the real one.
"""

import mmap
import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Final

_SOURCE: Final = Path(__file__).with_suffix(".c")
_OFFSET: Final = struct.Struct("q")


class WallClock:
    """The offset and the library.

    Args:
        folder: An empty folder for both.

    Attributes:
        is_steppable: Whether there is a C compiler, without which nothing can be preloaded.
    """

    def __init__(self, folder: Path) -> None:
        self._library = folder / "wall_clock.so"
        self._file = folder / "offset"
        self._file.write_bytes(_OFFSET.pack(0))
        compiler = shutil.which("cc") or shutil.which("gcc")
        self.is_steppable = compiler is not None
        if compiler is not None:
            options = ["-O1", "-shared", "-fPIC", "-o", str(self._library)]
            subprocess.run([compiler, *options, str(_SOURCE)], check=True)
        with self._file.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _OFFSET.size)

    def step(self, seconds: float) -> None:
        """Step the wall clock; a negative number sets it back."""
        (offset,) = _OFFSET.unpack(self._memory)
        self._memory[:] = _OFFSET.pack(offset + int(seconds * 1e9))

    def environment(self) -> dict[str, str]:
        """Return the variables with which a process and its children preload the library."""
        if not self.is_steppable:
            return {}
        return {"LD_PRELOAD": str(self._library), "WALL_CLOCK": str(self._file)}

    def is_used_by(self, pid: int) -> bool:
        """Whether a process has preloaded the library; False if the process has ended."""
        try:
            maps = Path(f"/proc/{pid}/maps").read_text()
        except OSError:
            return False
        return os.fspath(self._library) in maps

    def close(self) -> None:
        """Unmap the offset."""
        self._memory.close()
