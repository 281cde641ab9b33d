"""The check of the spool directory."""

import errno
import os
from pathlib import Path

import pytest

from dataart_mp import ClientConfig
from dataart_mp.cli.doctor.finding import FailedError, Finding, Outcome
from dataart_mp.cli.doctor.spool import check_spool


def spool_of(folder: Path) -> ClientConfig:
    return ClientConfig("k", spool_dir=folder, flush_buffer_size=4)


def test_the_check_of_a_spool_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir(0o700)

    assert check_spool(spool_of(folder)).outcome is Outcome.OK
    assert list(folder.iterdir()) == []
    assert check_spool(ClientConfig("k")).outcome is Outcome.SKIPPED

    (folder / "dead").mkdir()
    (folder / "dead" / "a.jsonl").write_text("{}\n")
    finding = check_spool(spool_of(folder))
    assert finding == Finding(
        "spool",
        Outcome.WARNING,
        f"{folder}: writable; 1 request has failed permanently",
        f"see dataart-mp spool ls {folder}",
    )


def test_the_check_of_a_spool_creates_no_directory(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "spool"

    finding = check_spool(spool_of(folder))

    assert finding.outcome is Outcome.OK
    assert f"{folder} does not exist; a client can create it" in finding.detail
    assert list(tmp_path.iterdir()) == []


def test_a_spool_that_a_client_could_not_create_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FailedError, match="file is not a directory"):
        check_spool(spool_of(tmp_path / "file" / "spool"))
    with pytest.raises(FailedError, match="its disk has") as caught:
        check_spool(
            ClientConfig(
                "k",
                spool_dir=tmp_path / "spool",
                flush_buffer_size=1_000_000,  # 16 TB in all
                max_request_bytes=2**24 - 1,
            )
        )
    assert "free disk space" in caught.value.finding.remedy
    assert not (tmp_path / "spool").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_spool_below_a_directory_that_is_not_writable_is_reported(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(FailedError, match="is not writable"):
        check_spool(spool_of(tmp_path / "spool"))


def test_an_unusable_spool_is_reported(tmp_path: Path) -> None:
    config = spool_of(tmp_path / "spool")
    (tmp_path / "spool").touch()  # after the configuration has checked it
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)

    for unusable, problem in (
        (config, os.strerror(errno.EEXIST)),
        (spool_of(shared), f"chmod 700 {shared}"),
    ):
        with pytest.raises(FailedError) as caught:
            check_spool(unusable)
        assert problem in caught.value.finding.detail
