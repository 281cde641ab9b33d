"""The faults that the sink injects on request."""
