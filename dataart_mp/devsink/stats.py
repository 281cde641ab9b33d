"""What the ledger knows, as `/_sink/stats` tells it."""

from __future__ import annotations

from typing import TypedDict


class SinkStats(TypedDict):
    """The balance of a sink since its start or its last reset.

    Always true:

        requests = accepted_requests + rejected_requests + faulted_requests
                   + unfinished_requests + in_flight
        actions = distinct_actions + explained_doubles + unexplained_doubles

    and the second for identities too.

    Attributes:
        requests: All that arrived, but those to `/_sink`.
        accepted_requests: Their items count as arrived.
        rejected_requests: Wrong ones, answered with a 4xx.
        faulted_requests: Right ones that a fault kept from being accepted.
        unfinished_requests: The client left before its request was whole.
        in_flight: Not decided yet.
        peak_in_flight: The most that were in flight at once.
        repeated_requests: Accepted ones that an accepted one equals in items and Idempotency-Key.
        reused_keys: Accepted ones with the Idempotency-Key of one that had other items.
        connections: Connections on which at least one request arrived.
        bytes: Bodies of accepted requests, as sent.
        by_status: Answers by status; `none`: closed without an answer.
        by_path: Requests by path; `other`: neither of the platform's.
        actions: Arrived actions, doubles included.
        distinct_actions: Arrived actions of different content.
        explained_doubles: Actions seen before, in a repeated request.
        unexplained_doubles: Actions seen before, in any other request.
        identities: Arrived identities.
        distinct_identities: Arrived identities of different content.
        explained_identity_doubles: Identities seen before, in a repeated request.
        unexplained_identity_doubles: Identities seen before otherwise; without a moment in them,
            two equal ones may both be meant.
        by_key: Arrived actions by their key.
        distinct_ids: Different values of the id field among arrived actions.
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
    explained_doubles: int
    unexplained_doubles: int
    identities: int
    distinct_identities: int
    explained_identity_doubles: int
    unexplained_identity_doubles: int
    by_key: dict[str, int]
    distinct_ids: int
