"""Tests of reading clients from outside."""
