"""The harness's clock and disk do what the runs rely on."""

import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.chaos.wall_clock import WallClock
from tests.support import environment

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the harness runs on Linux only")


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_a_step_moves_the_wall_clock_of_preloading_processes_and_no_other_clock(
    tmp_path: Path,
) -> None:
    show = "import time; print(time.time(), time.monotonic(), time.clock_gettime(7))"
    clock = WallClock(tmp_path)
    clock.step(-7200)
    clock.step(3600)
    done = subprocess.run(
        [sys.executable, "-c", show],
        env=environment(**clock.environment()),
        capture_output=True,
        check=True,
    )
    clock.close()
    wall, monotonic, since_boot = map(float, done.stdout.split())
    assert abs(wall + 3600 - time.time()) < 60
    assert abs(monotonic - time.monotonic()) < 60
    assert abs(since_boot - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60


@pytest.mark.skipif(os.geteuid() != 0, reason="to mount a file system takes privileges")
def test_a_full_disk_has_no_room_until_it_is_freed_and_can_be_removed(
    tmp_path: Path,
) -> None:
    program = """
        import errno, sys
        from pathlib import Path
        from tests.chaos.small_disk import SmallDisk

        folder = Path(sys.argv[1])
        disk = SmallDisk(folder)
        if not disk.is_mounted:
            sys.exit(77)
        disk.fill()
        try:
            (folder / "file").write_bytes(b"1")
        except OSError as error:
            assert error.errno == errno.ENOSPC
        else:
            sys.exit("there was room")
        disk.free()
        (folder / "file").write_bytes(b"1")
        disk.close()
        folder.rmdir()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip("this container may not mount a file system")
    assert done.returncode == 0, done.stderr.decode()
    assert not tmp_path.exists()
