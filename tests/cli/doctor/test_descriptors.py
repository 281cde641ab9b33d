"""The check of the limit of open files."""

import pytest

from dataart_mp import ClientConfig
from dataart_mp.cli.doctor.descriptors import check_descriptors
from dataart_mp.cli.doctor.finding import FailedError, Outcome

CONFIG = ClientConfig("k", flush_num_processes=2)


def test_too_few_descriptors_for_a_worker_are_a_failure() -> None:
    assert check_descriptors(CONFIG, 1024).outcome is Outcome.OK
    with pytest.raises(FailedError) as caught:
        check_descriptors(ClientConfig("k", flush_num_workers=4096, flush_num_processes=2), 1024)
    assert "ulimit -n" in caught.value.finding.remedy
