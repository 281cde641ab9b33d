"""The types of the hot path in C; see `_hot_path.c`."""

from collections.abc import Callable
from typing import Any

from dataart_mp.queue.arena import Arena

class FrameWriterFields:
    claim: tuple[int, int]
    position: int
    limit: int
    room: int
    due: float

class AppenderBase:
    arena: Arena
    memory: object
    idle: object
    held: object
    open: object
    sealed: object
    stamps: object
    guard: object
    lock_file: object
    work: object
    writer_type: type
    frames: int
    states: int
    accounts: int
    contents: int
    stride: int
    capacity: int
    records: int
    pid: int
    start: int
    guard_pid: int
    interval: float
    changes_frames: bool

    def emit_actions(self, actions: list[Any], first: int, now: object, /) -> int: ...

class EmitAction:
    def __init__(self, function: Callable[..., bool], /) -> None: ...

def configure(values: dict[str, int], /) -> None: ...
def use_encoder(dumps: Callable[..., bytes], names: dict[str, Any], /) -> None: ...
