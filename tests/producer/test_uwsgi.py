"""The master of uWSGI is recognized by the process id that the `uwsgi` module returns."""

import os
import sys
from types import SimpleNamespace

import pytest

from dataart_mp.producer import uwsgi


@pytest.mark.parametrize(
    ("module", "is_master"),
    [
        (None, False),
        (SimpleNamespace(), False),
        (SimpleNamespace(masterpid=lambda: 0), False),
        (SimpleNamespace(masterpid=lambda: os.getpid() + 1), False),
        (SimpleNamespace(masterpid=os.getpid), True),
    ],
    ids=["no uWSGI", "unrelated module of that name", "no master", "a worker", "the master"],
)
def test_the_master_is_the_process_with_the_pid_of_the_master(
    monkeypatch: pytest.MonkeyPatch, module: object, is_master: bool
) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", module)
    assert uwsgi.is_master() is is_master
