"""Delivery: what decides about a batch and its requests, for workers and for `dataart_mp/ship`.

batch      what one request carries
verdict    what a response means for its batch
backoff    the delays between the attempts of a batch
limit      which sizes the platform accepts
pace       when the next request may begin
counts     what became of records, counted by several threads
courier    one batch, from its first attempt until each of its records is settled
"""
