"""The worker process: frames in, requests out.

Read in this order: `main` (a fresh interpreter becomes a worker), `worker` (its threads), `loop`
(the thread that drives all requests), `poller` and `helpers` (what it waits for, and who does what
may wait), `shipper` (what happens to one frame), `request` (one batch on its way), `unsent` (what
is left of a frame), `circuit` (whether an endpoint is known to be down), `flow`, `shared_flow` and
`gate` (how many requests may be in flight: for one response, for all workers, and for the threads
of one), `retry_outcome` (what happened to a frame after a failed attempt), `parking` and `parker`
(batches that wait on disk for the end of an outage), `failures` (batches that are abandoned or
rejected) and `reporter` (what the application is notified of). What decides about a batch, such as
the verdict, is in `dataart_mp/delivery`.
"""
