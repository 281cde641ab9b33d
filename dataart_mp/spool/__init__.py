"""The parking lot: batches whose retries are exhausted, on disk until the platform answers again.

    frame ──park──► parked.db ──take──► frame ──► delivered: removed
                        ▲                 └─────► fails again: parked again
                        │
                        └── by the next client, too, when this one's processes are all gone

One SQLite file a spool, shared by all its processes, of any number of clients. A row is a batch:
its records as they were encoded, and the Idempotency-Key that it keeps. It is *in the owner* of a
frame as long as that frame still holds the filling that parked it, or took it: so one store, that
of the frame's state, decides who goes on with it, whichever process dies at whatever moment.

A row of a client that is gone is anybody's who comes first.

Read on in `parcel` (what is parked), `lot` (what can be done with it), `database` (the file).
"""
