"""The benchmarks: `python -m bench`.

    floor    lower bounds of the parts: encode, copy, post
    emit     a call of emit_action
    seed     the Go client's benchmark: 4,000 actions in parallel
    ship     events end to end, compared with lower bounds of the same run, and during faults
    memory   memory of the application and of its workers
    scale    cost per event from 10,000 to many events, the first event, an idle client
    peers    other Python clients
    queues   multiprocessing.JoinableQueue compared with RecordQueue
    report   tables, targets and charts of all measurements

Each case runs in a fresh interpreter (`dataart_mp.cli.bench.fresh`), in turn with the others
(`dataart_mp.cli.bench.measurement`). All samples are stored in `.cache/bench/<name>.json`.
"""
