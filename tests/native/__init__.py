"""Tests of the hot path in C: of what differs from the Python code, which all other tests cover."""
