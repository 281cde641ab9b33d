"""What a new owner of an orphaned arena changes in it, and when it leaves the arena alone."""

import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest

from dataart_mp.queue import Frame
from dataart_mp.queue.account import ACTIONS
from dataart_mp.queue.arena import FILLING, SENDING, Arena
from dataart_mp.queue.frame_writer import FrameWriter
from dataart_mp.queue.process import NOBODY, current, world
from dataart_mp.spool.arenas import Spool
from tests.queue.tools import SharedCounts, fork, kill, reap, record
from tests.support import wait_until

kept: list[object] = []


def fill(arena: Arena) -> None:
    """Leave a frame in FILLING."""
    writer = FrameWriter.open(arena, ACTIONS, 2, 0.0)
    assert writer is not None
    arena.memory[writer.position : writer.position + len(record(0))] = record(0)
    kept.append(writer)


def send(arena: Arena) -> None:
    """Leave a frame in SENDING."""
    writer = FrameWriter.open(arena, ACTIONS, 1, 0.0)
    assert writer is not None
    writer.fill(record(0))
    assert writer.seal()
    kept.append(Frame.claim(arena, 0))


owns = pytest.mark.parametrize(
    ("own", "state"), [(fill, FILLING), (send, SENDING)], ids=["a producer", "a worker"]
)


@owns
def test_an_arena_is_left_alone_while_a_process_without_its_lock_owns_a_frame(
    tmp_path: Path, own: Callable[[Arena], None], state: int
) -> None:
    """As when a file server has restarted: the lock is lost, and the arena is still mapped."""
    sign = SharedCounts()

    def lose_the_lock() -> None:
        arena = Spool(tmp_path).create(2, 64)
        own(arena)
        fcntl.flock(arena.fd, fcntl.LOCK_UN)
        sign.add(0)
        wait_until(lambda: sign[1], 60)

    owner = fork(lose_the_lock)
    wait_until(lambda: sign[0])
    assert list(Spool(tmp_path).take_over_orphans()) == []
    kill(owner)
    (arena,) = Spool(tmp_path).take_over_orphans()
    assert arena.state(0) == state
    arena.close()


@owns
def test_a_new_owner_gives_the_process_ids_the_meaning_that_they_have_here(
    tmp_path: Path, own: Callable[[Arena], None], state: int
) -> None:
    """They are of another boot: a process of this one may have the same id."""

    def other_boot() -> None:
        arena = Spool(tmp_path).create(2, 64)
        own(arena)
        arena.words[8] ^= 1  # the id of the boot
        arena.wanted_until = 1 << 62  # by the clock of that boot

    assert reap(fork(other_boot)) == 0
    (arena,) = Spool(tmp_path).take_over_orphans()
    assert arena.world == world()
    assert arena.process == current()
    assert arena.account(0).process == NOBODY
    assert arena.wanted_until == 0
    arena.close()
