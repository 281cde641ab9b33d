"""`dataart-mp doctor`: checks in turn everything that a client needs.

command      the options, and the findings on standard output
checkup      all checks, in order
route        name resolution, connection, TLS, and the platform's clock
delivery     the API key, and one event through a real client
spool        the spool directory
memory       memory limits, and shared memory
descriptors  the limit of open files
container    what the end of process 1 does to the workers
finding      the result of one check
"""
