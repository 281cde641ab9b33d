"""Tests of `dataart-mp status`."""
