"""The open pages, and what each of them has not received yet."""
