"""The checksum of a frame: proves, after a power failure, that its content is what was appended.

The disk keeps pages of 4096 bytes (some disks: sectors of 512), each as it was when the kernel
wrote it last. So after a power failure a frame may hold a mixture of several moments and fillings,
which may look like records. Two words of its account say what it held:

    appended   what was appended so far: one store with each append
    synced     a beginning of it that is on the disk for certain

    word = length (24 bits) │ CRC-32 (32 bits) of generation, kind and content up to this length

`appended` may be on the disk before the content that it describes. Then `synced` still proves what
was there before. Arenas without durability have no checksums; both words are 0.
"""

import struct
import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dataart_mp.queue.account import Account
    from dataart_mp.queue.arena import Arena

LENGTH_SHIFT: Final = 32
_CRC_MASK: Final = (1 << LENGTH_SHIFT) - 1
_FILLING: Final = struct.Struct("=QQ")


def start(generation: int, kind: int) -> int:
    """Return the CRC of an empty frame. Each filling has a different one."""
    return zlib.crc32(_FILLING.pack(generation, kind))


def extended(crc: int, content: bytes) -> int:
    """Return the CRC when more content is appended."""
    return zlib.crc32(content, crc)


def word(length: int, crc: int) -> int:
    """Return the word of an account that says all this."""
    return length << LENGTH_SHIFT | crc


def word_of(account: "Account", content: bytes) -> int:
    """Return the word for a frame with this content."""
    return word(len(content), extended(start(account.generation, account.kind), content))


def proven(arena: "Arena", frame: int) -> int:
    """Return how many bytes of a frame's content are proven to be what was appended."""
    account = arena.account(frame)
    return max(_proven(arena, frame, account, each) for each in (account.appended, account.synced))


def _proven(arena: "Arena", frame: int, account: "Account", expected: int) -> int:
    length = expected >> LENGTH_SHIFT
    if not 0 < length <= arena.capacity:
        return 0
    return length if word_of(account, arena.content(frame, 0, length)) == expected else 0
