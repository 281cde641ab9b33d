"""Each accepted action is counted once, at whatever step of the C code its process dies."""

import itertools
import mmap
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.native.compiling import compile_hot_path
from tests.native.emitting import Emitter, needs_c, numbered
from tests.queue.tools import audit, fork, kill, queue_of
from tests.support import wait_until

pytestmark = needs_c

TEARS = {
    "at any step": 0,
    "nothing is copied": 1,
    "the beginning is copied": 2,
    "all but the newline is copied": 3,
    "the end is copied": 4,
    "all but a hole is copied": 5,
}


@pytest.fixture(scope="module")
def dying_hot_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("library")
    header = Path(__file__).with_name("deaths.h")
    return compile_hot_path(directory, "-include", str(header))


@pytest.mark.parametrize("tear", TEARS.values(), ids=TEARS.keys())
def test_no_action_whose_emission_returned_is_lost_if_the_process_dies(
    dying_hot_path: Path, tear: int
) -> None:
    program = [sys.executable, "-m", "tests.native.dying", str(dying_hot_path), str(tear)]
    ended = subprocess.run(program, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("size", [1, 7], ids=["one by one", "in bulk"])
def test_a_process_that_is_killed_at_any_moment_loses_no_action(size: int) -> None:
    """Each frame is full after three actions, so that many are changed."""
    source = random.Random(size)
    emitted = mmap.mmap(-1, mmap.PAGESIZE)
    view = memoryview(emitted).cast("Q")
    for _ in range(12):
        view[0] = 0
        with queue_of(500, 512, records=3) as queue:
            emitter = Emitter(queue)

            def child(emitter: Emitter = emitter) -> None:
                emitter.emit_numbered(0)
                for number in itertools.count(1, size):
                    actions = [numbered(each) for each in range(number, number + size)]
                    if emitter.emit_bulk(actions) < size:  # the buffer is full
                        signal.pause()
                    view[0] = number + size

            pid = fork(child)
            wait_until(lambda: view[0])
            time.sleep(source.uniform(0, 0.002))
            kill(pid)
            numbers = sorted(audit(queue))
            assert numbers == list(range(len(numbers)))
            assert view[0] <= len(numbers) <= view[0] + size
