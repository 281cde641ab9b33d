"""The chaos harness: accepted events arrive, whichever processes die and whenever they die.

    driver ──starts──► application ──forks──► producer ──forks──► producer
      │ │                   └─────── emit ────────┴───────┬───────────┘
      │ │                                                 ▼
      │ └── kills, stops, resumes, restarts ───► workers ──► sink ──► journals
      │                                                                  │
      └── audit: what the producers confirmed in the roster ◄──by event──┘

A producer confirms an event in the roster, a file that outlives it, after `emit_action` has
returned. So every confirmed event must have arrived. The one event that a thread was emitting when
it died may have arrived.

Read in this order:

    plan, schedule        what happens and when, derived from one seed
    event                 what is emitted
    roster, run_log       what the processes write down
    producer, application the processes under attack
    process_handle, procfs, observed_application
                          the same processes, seen from the driver
    sink_under_test       the sink and its journals
    small_disk, wall_clock
                          the disk of the spools and the clock of the applications
    attacker, incident    carries out the attacks and records what they may explain
    monitor               finds hung calls and applications that have ended
    driver                one run from start to end
    new_owner             a client that sends what an application has parked
    audit, results        what arrived, and what may have arrived twice
    leaks, summary        what is left behind, and the verdict
"""
