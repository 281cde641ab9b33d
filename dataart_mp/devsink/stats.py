"""The counts of a sink, as `/_sink/stats` returns them."""

from __future__ import annotations

from typing import TypedDict


class SinkStats(TypedDict):
    """The counts of a sink since its start or its last reset.

    Always true:

        requests = accepted_requests + rejected_requests + faulted_requests
                   + unfinished_requests + in_flight
        actions = distinct_actions + explained_duplicates + unexplained_duplicates
        identities = distinct_identities + explained_identity_duplicates

    Attributes:
        requests: All requests, except those to `/_sink` and the page.
        accepted_requests: Requests whose items count as arrived.
        rejected_requests: Wrong requests; the response is a 4xx.
        faulted_requests: Valid requests that were not accepted because of a fault.
        unfinished_requests: Requests whose client disconnected before they were complete.
        in_flight: Requests that are not decided yet.
        peak_in_flight: Largest number of requests in flight at once.
        repeated_requests: Accepted requests with the items and the Idempotency-Key of an earlier
            accepted one.
        reused_keys: Accepted requests with the Idempotency-Key of an earlier one, but other items.
        connections: Connections with at least one request.
        bytes: Size of the bodies of accepted requests, as sent.
        by_status: Responses by status; `none`: closed without a response.
        by_path: Requests by path; `other`: neither of the platform's endpoints.
        actions: Arrived actions, duplicates included.
        distinct_actions: Arrived actions with different content.
        explained_duplicates: Actions that arrived before, in a repeated request.
        unexplained_duplicates: Actions that arrived before, in any other request.
        identities: Arrived identities, duplicates included.
        distinct_identities: Arrived identities, without duplicates.
        explained_identity_duplicates: Identities in a repeated request. An identity has no
            timestamp, so an application may identify a user twice with the same content; therefore
            only the Idempotency-Key makes one a duplicate.
        by_key: Arrived actions by key.
        distinct_ids: Number of different values of the id field in arrived actions.
    """

    requests: int
    accepted_requests: int
    rejected_requests: int
    faulted_requests: int
    unfinished_requests: int
    in_flight: int
    peak_in_flight: int
    repeated_requests: int
    reused_keys: int
    connections: int
    bytes: int
    by_status: dict[str, int]
    by_path: dict[str, int]
    actions: int
    distinct_actions: int
    explained_duplicates: int
    unexplained_duplicates: int
    identities: int
    distinct_identities: int
    explained_identity_duplicates: int
    by_key: dict[str, int]
    distinct_ids: int
