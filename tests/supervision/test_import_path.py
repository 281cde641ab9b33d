"""A worker imports what its application imports, whatever directory that one is in by then."""

import subprocess
import sys
from pathlib import Path

import pytest

from dataart_mp.supervision import import_path


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which this package was imported; the present one is another."""
    directory = tmp_path / "first"
    directory.mkdir()
    monkeypatch.setattr(import_path, "_FIRST_DIRECTORY", str(directory))
    monkeypatch.chdir(tmp_path)
    return directory


def test_absolute_entries_are_kept_in_their_order(
    first: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", ["/b", "/a.zip", "/b", "/c"])
    assert import_path.absolute() == ["/b", "/a.zip", "/c"]


def test_a_relative_entry_counts_from_where_the_application_started(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", ["vendor", "/a", ""])
    assert import_path.absolute() == [
        f"{first}/vendor",
        f"{tmp_path}/vendor",
        "/a",
        str(first),
        str(tmp_path),
    ]


def test_directories_that_were_removed_are_left_out(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(sys, "path", ["vendor", "/a"])
    assert import_path.absolute() == [f"{first}/vendor", "/a"]
    monkeypatch.setattr(import_path, "_FIRST_DIRECTORY", None)
    assert import_path.absolute() == ["/a"]
    assert import_path.from_first_directory("cache") == "cache"


def test_the_first_directory_is_that_of_the_import(tmp_path: Path) -> None:
    code = (
        "import os, sys; from dataart_mp.supervision import import_path; os.chdir('/');"
        "sys.path[:] = ['x']; print(import_path.absolute())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{[f'{tmp_path}/x', '/x']}\n"
