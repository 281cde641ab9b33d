"""Reading the clients of this machine from outside, without disturbing them.

    /proc/PID/maps ──► processes ──► arena_view ──► client_view ──► observer ──► `dataart-mp status`
    SPOOL_DIR/*.arena ─────────────────┘              spool_view ──────┘

An arena is mapped read-only, and no lock is taken. The locks of its frames lie on a socket that no
other process can open, so who lives is judged by what workers say of themselves, and by which
processes have the arena mapped.

Read in this order: `processes` (who has which arena mapped), `arena_view` (an arena that is only
read), `client_view` (what it says of its client), `spool_view` (parked batches and dead letters),
`observer` (all clients, look by look).
"""
