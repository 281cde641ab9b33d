"""A run passes only if nothing is wrong: a harness that cannot fail proves nothing."""

from typing import Any

import pytest

from tests.chaos.summary import Summary

GOOD: dict[str, Any] = {"seed": 1, "seconds": 60.0, "accepted": 1000}


def test_a_run_without_problems_passes() -> None:
    summary = Summary(**GOOD, leaks={"frames": 0})
    assert summary.passed
    assert str(summary).endswith("passed")
    assert summary.as_json()["verdict"] == "passed"


@pytest.mark.parametrize(
    "wrong",
    [
        {"lost": 1},
        {"hung": 1},
        {"unexplained_duplicates": 1},
        {"leaks": {"frames": 0, "descriptors": 1}},
        {"leaks": {"processes": -1}},
        {"problems": ["something"]},
        {"accepted": 0},
    ],
)
def test_a_run_with_any_problem_fails(wrong: dict[str, Any]) -> None:
    summary = Summary(**{**GOOD, **wrong})
    assert not summary.passed
    assert str(summary).endswith("FAILED")
    assert summary.as_json()["verdict"] == "failed"
