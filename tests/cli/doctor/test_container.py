"""The check of a container: the workers end with its process 1, and what to do about it."""

from pathlib import Path

import pytest

from dataart_mp import ClientConfig
from dataart_mp.cli.doctor.container import check_container
from dataart_mp.cli.doctor.finding import Outcome

MOUNTS = """\
27 1 0:30 / / rw,relatime - overlay overlay rw
30 25 0:27 / /dev/shm rw - tmpfs tmpfs rw
41 27 8:1 /data /var/my\\040volume rw,relatime master:1 - ext4 /dev/sda1 rw
"""


def container(folder: Path, *, namespace: int = 4026532000, init: str = "gunicorn") -> Path:
    """Write what the kernel shows in a container."""
    for name in ("proc/self/ns", "proc/1"):
        (folder / name).mkdir(parents=True)
    (folder / "proc/self/ns/pid").symlink_to(f"pid:[{namespace}]")
    (folder / "proc/1/comm").write_text(f"{init}\n")
    (folder / "proc/self/mountinfo").write_text(MOUNTS)
    return folder


def test_outside_a_container_there_is_nothing_to_check(tmp_path: Path) -> None:
    root = container(tmp_path, namespace=4026531836)
    assert check_container(ClientConfig("k"), root).outcome is Outcome.SKIPPED
    assert check_container(ClientConfig("k"), tmp_path / "no-linux").outcome is Outcome.SKIPPED


def test_in_a_container_without_a_spool_the_loss_of_pending_events_is_explained(
    tmp_path: Path,
) -> None:
    finding = check_container(ClientConfig("k"), container(tmp_path))

    assert finding.outcome is Outcome.WARNING
    assert finding.detail == (
        "the workers are killed when process 1 of this container (gunicorn) ends; "
        "pending events are lost then"
    )
    assert "set DATAART_SPOOL_DIR to a directory on it" in finding.remedy
    assert "--init" in finding.remedy


@pytest.mark.parametrize("folder", ["/spool", "/dev/shm/spool", "/var/my volume-2"])
def test_a_spool_that_ends_with_the_container_is_reported(tmp_path: Path, folder: str) -> None:
    config = ClientConfig("k", spool_dir=folder)

    finding = check_container(config, container(tmp_path, init="tini"))

    assert finding.outcome is Outcome.WARNING
    assert f"the spool {folder} is not on a volume" in finding.detail
    assert finding.remedy == ("mount a volume, and set DATAART_SPOOL_DIR to a directory on it")


def test_a_spool_on_a_volume_and_an_init_process_pass_the_check(tmp_path: Path) -> None:
    config = ClientConfig("k", spool_dir="/var/my volume/spool")

    finding = check_container(config, container(tmp_path / "a", init="docker-init"))
    without_init = check_container(config, container(tmp_path / "b"))

    assert finding.outcome is Outcome.OK
    assert finding.detail.endswith("pending events stay in the spool, which is on a volume")
    assert without_init.outcome is Outcome.WARNING
    assert without_init.remedy.startswith("start the container with --init")
