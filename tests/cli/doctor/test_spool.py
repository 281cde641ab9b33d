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
