"""The header of an arena: how many frames it has, how large they are, and the arena's id.

    word  0      magic               0
          1      layout version      │
          2..3   id                  │ the same 64 bytes are at offset 2048
          4..6   frames, capacity,   │
                 stride              │
          7      checksum            ▼

It is stored twice, each time with a checksum. So the damage of one word, or of one copy, costs
nothing, and no damaged number is believed.

There are two layouts. They differ in the size of an account: in arenas with durability, it also
holds the checksum of the frame's content. A release that knows only the first one sets the others
aside as newer.
"""

import os
import struct
import zlib
from typing import Final, NamedTuple

from dataart_mp.queue.account import CHECKED_WORDS, WORDS

MAGIC: Final = b"DataArtQ"
PLAIN: Final = 1
"""The layout version of arenas without durability."""
CHECKED: Final = 2
"""The layout version of arenas with durability."""
_ACCOUNT_WORDS: Final = {PLAIN: WORDS, CHECKED: CHECKED_WORDS}
_FIELDS: Final = struct.Struct("=8sQ16sQQQ")
_CHECKSUM: Final = struct.Struct("=Q")
_SIZE: Final = _FIELDS.size + _CHECKSUM.size
_COPIES: Final = (0, 2048)


class HeaderError(Exception):
    """A file does not begin with the header of an arena of this layout.

    Attributes:
        reason: One word: `foreign`, `newer`, `corrupt` or `truncated`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason

    def __str__(self) -> str:
        return str(self.args[1])


class Header(NamedTuple):
    """What a header says.

    Attributes:
        identity: The arena's id, 16 bytes.
        frames: The number of frames.
        capacity: The bytes of content that one frame can hold.
        stride: The bytes from one frame to the next.
        layout: The layout version, PLAIN or CHECKED.
    """

    identity: bytes
    frames: int
    capacity: int
    stride: int
    layout: int = PLAIN

    @property
    def account_words(self) -> int:
        """The words of the account of one frame."""
        return _ACCOUNT_WORDS[self.layout]

    def write(self, fd: int) -> None:
        """Write both copies into a file."""
        *sizes, layout = self
        fields = _FIELDS.pack(MAGIC, layout, *sizes)
        for offset in _COPIES:
            os.pwrite(fd, fields + _CHECKSUM.pack(zlib.crc32(fields)), offset)

    @classmethod
    def read(cls, fd: int) -> "Header":
        """Read the header of a file from the first copy that is intact.

        Raises:
            HeaderError: No copy is.
            OSError: The file cannot be read.
        """
        copies = [os.pread(fd, _SIZE, offset) for offset in _COPIES]
        for copy in copies:
            if _is_intact(copy):
                _, layout, identity, frames, capacity, stride = _FIELDS.unpack_from(copy)
                return cls(identity, frames, capacity, stride, layout)
        raise _error(copies[0])

    @classmethod
    def is_whole(cls, fd: int) -> bool:
        """Return whether both copies are intact and agree."""
        first, second = (os.pread(fd, _SIZE, offset) for offset in _COPIES)
        return _is_intact(first) and first == second


def _is_intact(copy: bytes) -> bool:
    if len(copy) < _SIZE:
        return False
    fields, checksum = copy[: _FIELDS.size], copy[_FIELDS.size :]
    magic, layout, *_ = _FIELDS.unpack(fields)
    is_ours = magic == MAGIC and layout in _ACCOUNT_WORDS
    return is_ours and _CHECKSUM.unpack(checksum)[0] == zlib.crc32(fields)


def _error(copy: bytes) -> HeaderError:
    """Return why a first copy is not intact, when the second is not either."""
    if len(copy) < _SIZE:
        return HeaderError("truncated", f"its header has {_SIZE} bytes, {len(copy)} are left")
    magic, version, *_ = _FIELDS.unpack_from(copy)
    if magic != MAGIC:
        return HeaderError("foreign", f"it begins with {magic!r} instead of {MAGIC!r}")
    if version > CHECKED:
        return HeaderError(
            "newer",
            f"its layout version is {version}, and this release knows {CHECKED}; "
            "use the release that wrote it",
        )
    return HeaderError("corrupt", "neither copy of its header has the right checksum")
