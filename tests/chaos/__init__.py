"""The chaos harness: what was accepted arrives, whatever dies at whatever moment.

    conductor ──starts──► application ──forks──► producer ──forks──► producer
        │ │                    └─────── emit ────────┴───────┬───────────┘
        │ │                                                  ▼
        │ └── kills, stops, continues, restarts ───► workers ──► sink ──► journals
        │                                                                    │
        └── audit: what the producers noted in the roll ◄─ event by event ─► what arrived

A producer notes an event in the roll, a file that outlives it, after `emit_action` has returned. So
all that is noted must have arrived, and the one event a thread was busy with when it died may have.

Read in this order: `plan` (what happens when, all of it from one seed), `event` (what is emitted),
`roll`, `producer`, `application` (the processes under attack), `victim`, `family` (how they look
from outside), `station` (the sink and its journals), `conductor` (carries out the plan), `heir` (a
client that sends what one before it has parked), `incident`
and `audit` (what arrived, and what may have arrived twice), `leaks`, `summary`.
"""
