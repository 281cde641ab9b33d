"""The spool: everything that clients keep on disk, in the directory `spool_dir`.

    <spool_dir>/
      <arena id>.arena                events of one client, in use or left behind by dead processes
      <arena id>.arena.<reason>       an unusable file: foreign, newer, corrupt or truncated
      parked.db                       batches whose retries are exhausted, until the outage ends
      parked.db.spare                 room for changes when the disk is full
      parked.db.corrupt               a damaged parked.db, kept for inspection; the latest three
      <arena id>.parked               an empty file: that arena's client may have parked something
      dead/<Idempotency-Key>.jsonl    events that failed permanently
      <process id>-<random>.new       a file that is not complete yet

Any number of clients and processes share a spool. Only a power failure can lose what is written to
it: the kernel writes it to disk even when every process is dead. `spool_sync` limits that loss.

Read in this order: `arena_file` and `arenas` (making and taking over arenas), `recovery` (arenas
after a power failure), `repair` (damaged arenas), `parked_batch`, `ownership` and `parking_lot`
(batches that wait), `refill` (from a parked batch back to a frame), `database`, `connection` and
`salvage` (the SQLite file), `dead_letters`.
"""
