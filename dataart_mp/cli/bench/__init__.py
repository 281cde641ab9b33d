"""`dataart-mp bench`: loads a platform with events, and measures it.

    command      the options, and the table on standard output
    load         the measured run: many events through one client
    fresh        runs a function in a new interpreter
    latency      quantiles of call times
    cpu          CPU time of other processes
    machine      a description of the machine
    measurement  the samples of several runs, and their medians

The programs in `bench/` of the repository are built on these modules, too.
"""
