"""The CPU quota of a container is found wherever its control groups are mounted."""

from pathlib import Path

import pytest

from dataart_mp.config import cpus
from dataart_mp.config.cgroup import cpu_quota

V1 = "25 30 0:22 {root} {point} ro,nosuid - cgroup cgroup rw,cpu,cpuacct"
V2 = "42 41 0:38 {root} {point} ro,nosuid,nodev - cgroup2 cgroup rw,nsdelegate"


class Proc:
    """A copy of what /proc and /sys/fs/cgroup would hold."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.point = directory / "sys fs" / "cgroup"

    def process(self, groups: str, mount: str, root: str = "/") -> None:
        point = str(self.point).replace(" ", "\\040")
        self.directory.joinpath("cgroup").write_text(groups + "\n")
        self.directory.joinpath("mountinfo").write_text(mount.format(root=root, point=point) + "\n")

    def v1(self, group: str, quota: int, period: int = 100_000) -> None:
        directory = self.point / group
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "cpu.cfs_quota_us").write_text(f"{quota}\n")
        (directory / "cpu.cfs_period_us").write_text(f"{period}\n")

    def v2(self, group: str, limit: str) -> None:
        directory = self.point / group
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "cpu.max").write_text(f"{limit}\n")


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


def test_the_quota_of_a_container_with_its_own_view_of_control_groups(proc: Proc) -> None:
    """Docker with version 2: the group of the container looks like the root."""
    proc.process("0::/", V2)
    proc.v2("", "150000 100000")
    assert cpu_quota(proc.directory) == 1.5


def test_the_smallest_quota_of_the_group_and_those_above_it_counts(proc: Proc) -> None:
    proc.process("0::/kubepods/pod/container", V2)
    proc.v2("kubepods/pod/container", "max 100000")
    proc.v2("kubepods/pod", "50000 100000")
    proc.v2("kubepods", "400000 100000")
    assert cpu_quota(proc.directory) == 0.5


@pytest.mark.parametrize("limit", ["max 100000", "0 100000", "100000 0", "a b", ""])
def test_a_group_without_a_quota_limits_nothing(proc: Proc, limit: str) -> None:
    proc.process("0::/group", V2)
    proc.v2("group", limit)
    assert cpu_quota(proc.directory) is None


def test_the_quota_of_version_1(proc: Proc) -> None:
    proc.process("5:memory:/other\n4:cpu,cpuacct:/docker/ab\n1:name=systemd:/", V1)
    proc.v1("docker/ab", 300_000)
    proc.v1("docker", -1)
    assert cpu_quota(proc.directory) == 3


def test_a_group_that_is_mounted_as_the_root(proc: Proc) -> None:
    """Docker with version 1 shows the path on the host, and mounts only the container's group."""
    proc.process("4:cpu,cpuacct:/docker/ab/inner", V1, root="/docker/ab")
    proc.v1("", 200_000)
    proc.v1("inner", 100_000)
    assert cpu_quota(proc.directory) == 1


def test_a_group_outside_of_what_is_mounted(proc: Proc) -> None:
    proc.process("4:cpu:/elsewhere", V1, root="/docker/ab")
    proc.v1("", 200_000)
    assert cpu_quota(proc.directory) == 2


def test_both_versions_at_once(proc: Proc) -> None:
    """A system with the hybrid layout: the CPU controller belongs to version 1."""
    proc.process("4:cpu:/group\n0::/group", V1)
    proc.v1("group", 150_000)
    assert cpu_quota(proc.directory) == 1.5


@pytest.mark.parametrize("text", [None, "", "x", "0::/\n\nbroken", "\udcff"])
def test_an_unknown_format_counts_as_unlimited(proc: Proc, text: str | None) -> None:
    if text is not None:
        proc.directory.joinpath("cgroup").write_text(text, errors="surrogateescape")
        proc.directory.joinpath("mountinfo").write_text(text, errors="surrogateescape")
    assert cpu_quota(proc.directory) is None


@pytest.mark.parametrize(
    ("quota", "expected"), [(None, 8), (0.1, 1), (1.0, 1), (1.5, 2), (64.0, 8)]
)
def test_a_part_of_a_cpu_counts_as_one(
    quota: float | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpus, "_schedulable_cpus", lambda: 8)
    monkeypatch.setattr(cpus, "cpu_quota", lambda: quota)
    assert cpus.available_cpus() == expected
