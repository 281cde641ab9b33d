"""Mutation testing of the pure policies; `scripts/mutation` runs it."""
