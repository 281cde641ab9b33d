"""The worker process: frames in, requests out.

Read in this order: `main` (a fresh interpreter becomes a worker), `worker` (its threads), `shipper`
(what is done with one frame), `batch` (the body), `limit` (what was too large), `sender` (the
request), `verdict` (what the answer means), `circuit` (whether the platform answers anybody),
`backoff` (when to try again), `outcome` (what becomes of a frame that failed), `parker` (what an
outage outlasts), `report` (what the application hears of it); and what the sender stands on:
`proxy`, `tls`.
"""
