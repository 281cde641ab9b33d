"""Each accepted action is counted once, at whatever step of the C code its process dies."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.native.compiling import compile_hot_path
from tests.native.emitting import needs_c

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
