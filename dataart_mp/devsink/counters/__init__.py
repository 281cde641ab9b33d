"""Counts of requests and items, and the detection of duplicates."""
