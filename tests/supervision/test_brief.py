"""A brief reaches the worker unchanged, and does not show its secrets."""

import json
from pathlib import Path

import pytest

from dataart_mp import ClientConfig, HTTPOptions
from dataart_mp.supervision.brief import Brief
from dataart_mp.supervision.wiring import Inheritance


@pytest.fixture
def brief() -> Brief:
    http = HTTPOptions(headers={"Authorization": "hunter2"})
    return Brief(
        import_path=["/app", "/lib"],
        ignored_signals=[2, 15],
        inheritance=Inheritance(3, 4, 5, 6, 7, 8, 9, 10),
        place=1,
        arena_path=Path("/spool/1.arena"),
        config=ClientConfig("hunter2", http=http, flush_num_processes=2),
    )


def test_a_brief_survives_the_way_to_the_worker(brief: Brief) -> None:
    assert Brief.from_wire(brief.to_wire()) == brief


def test_the_bootstrap_code_finds_the_import_path_without_this_package(brief: Brief) -> None:
    assert json.loads(brief.to_wire())["import_path"] == ["/app", "/lib"]


def test_the_repr_shows_no_secret(brief: Brief) -> None:
    assert "hunter2" not in repr(brief)
