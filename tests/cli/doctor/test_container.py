"""The check of what outlives process 1 of a container."""

import os
from pathlib import Path
from typing import Any

import pytest

from dataart_mp import ClientConfig
from dataart_mp.cli.doctor.container import check_container
from dataart_mp.cli.doctor.finding import Outcome


def machine(root: Path, namespace: str) -> Path:
    """Create a directory with a /proc of this namespace of process ids."""
    (root / "proc/self/ns").mkdir(parents=True)
    (root / "proc/self/ns/pid").symlink_to(namespace)
    return root


def test_outside_of_a_container_workers_outlive_the_application(tmp_path: Path) -> None:
    root = machine(tmp_path, "pid:[4026531836]")
    for each in (root, tmp_path / "macos"):
        finding = check_container(ClientConfig("k"), each)
        assert (finding.outcome, finding.remedy) == (Outcome.OK, "")


def test_a_container_without_a_spool_is_a_warning(tmp_path: Path) -> None:
    finding = check_container(ClientConfig("k"), machine(tmp_path, "pid:[4026532198]"))
    assert finding.outcome is Outcome.WARNING
    assert "when its process 1 ends, the workers end too" in finding.detail
    assert "spool_dir on a volume" in finding.remedy
    assert "--init" in finding.remedy


@pytest.mark.parametrize(("is_volume", "outcome"), [(True, Outcome.OK), (False, Outcome.WARNING)])
def test_a_spool_must_be_on_a_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_volume: bool, outcome: Outcome
) -> None:
    root = machine(tmp_path, "pid:[4026532198]")
    config = ClientConfig("k", spool_dir=tmp_path / "not" / "yet")
    if is_volume:
        stat = Path.stat

        def other_device(path: Path, **options: Any) -> os.stat_result:
            found = stat(path, **options)
            if path == root:
                fields = list(found)
                fields[2] += 1
                return os.stat_result(fields)
            return found

        (tmp_path / "not" / "yet").mkdir(parents=True)
        monkeypatch.setattr(Path, "stat", other_device)
    finding = check_container(config, root)
    assert finding.outcome is outcome
    assert str(tmp_path / "not" / "yet") in finding.detail
