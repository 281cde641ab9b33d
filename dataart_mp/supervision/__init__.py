"""Starting worker processes, and restarting them when they die.

No process owns the workers. Each worker has a place, which is a record lock in the arena. Any
process that finds a place free may start a worker for it; if two are started, the lock decides.

`stop` ends an activity, such as a thread. `close` releases what this process holds, such as
descriptors. Neither ends a worker: workers end when everything is delivered.
"""
