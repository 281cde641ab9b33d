"""The measuring program: `python -m bench`.

    floor    what the parts cost at least: encode, copy, post
    emit     a call of emit_action
    seed     the Go client's benchmark: 4,000 actions in parallel
    ship     events end to end, against the floors of the same run, and through faults
    memory   of the application and of its workers
    scale    cost an event from 10,000 to many, the first event, idleness
    peers    other Python clients
    queues   a plain multiprocessing.Queue against RecordQueue
    report   what it all means: targets, tables, drawings

Each case runs in a fresh interpreter (`dataart_mp.cli.bench.fresh`), in turn with the others
(`dataart_mp.cli.bench.measurement`). Every sample is kept in `.cache/bench/<name>.json`.
"""
