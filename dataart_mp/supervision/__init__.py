"""Starting workers and keeping them alive, from whatever process notices that one is missing.

Nobody owns the workers. A worker's place is a record lock in the arena; who finds it free starts a
replacement, and a double start ends at the lock.
"""
