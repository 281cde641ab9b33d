"""Fixtures of the tests of the hot path in C."""

from tests.queue.conftest import frequent_switches

__all__ = ["frequent_switches"]
