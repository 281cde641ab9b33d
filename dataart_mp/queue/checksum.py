"""The checksum of a frame: proves, after a power failure, that its content is what was appended.

The disk keeps pages of 4096 bytes (some disks: sectors of 512), each as it was when the kernel
wrote it last. So after a power failure a frame may hold a mixture of several moments and fillings,
which may look like records. Two words of its account say what it held:

    appended   what was appended so far: one store with each append
    synced     a beginning of it that is on the disk for certain

    word = length (24 bits) │ CRC-32 (32 bits) of generation, kind and content up to this length

`appended` may be on the disk before the content that it describes. Then `synced` still proves what
was there before. Whatever else is needed for the proof is stored twice, or can have two values
only, so that no single damaged word makes a content unproven. Arenas without durability have no
checksums.
"""

import struct
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from dataart_mp.queue.account import Account
    from dataart_mp.queue.arena import Arena

LENGTH_SHIFT: Final = 32
_FILLING: Final = struct.Struct("=QQ")
_KINDS: Final = (0, 1)


class Proof(NamedTuple):
    """What a checksum proves about a frame.

    Attributes:
        length: How many bytes of its content are what was appended.
        generation: The generation of the frame.
        kind: ACTIONS or IDENTITY.
    """

    length: int
    generation: int
    kind: int


def start(generation: int, kind: int) -> int:
    """Return the CRC of an empty frame. Each filling has a different one."""
    return zlib.crc32(_FILLING.pack(generation, kind))


def word(length: int, crc: int) -> int:
    """Return the word of an account that says all this."""
    return length << LENGTH_SHIFT | crc


def word_of(generation: int, kind: int, content: bytes) -> int:
    """Return the word for a frame with this content."""
    return word(len(content), zlib.crc32(content, start(generation, kind)))


def store(account: "Account", content: bytes) -> None:
    """Store the checksum of a frame's content, when that was not appended by a checked writer."""
    generation = account.generation
    account.generation_again = generation
    account.appended = account.appended_again = word_of(generation, account.kind, content)


def proof(arena: "Arena", frame: int) -> Proof | None:
    """Return the proof that reaches farthest; None if nothing is proven."""
    account = arena.account(frame)
    generations = dict.fromkeys((account.generation, account.generation_again))
    words = {account.appended, account.appended_again, account.synced}
    for expected in sorted(words, key=lambda each: each >> LENGTH_SHIFT, reverse=True):
        length = expected >> LENGTH_SHIFT
        if not 0 < length <= arena.capacity:
            continue
        content = arena.content(frame, 0, length)
        for generation in generations:
            for kind in _KINDS:
                if word_of(generation, kind, content) == expected:
                    return Proof(length, generation, kind)
    return None


def proven(arena: "Arena", frame: int) -> int:
    """Return how many bytes of a frame's content are proven to be what was appended."""
    found = proof(arena, frame)
    return found.length if found else 0
