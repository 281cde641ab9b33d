"""The checkup of `dataart-mp doctor`: one finding after the other, each with its remedy.

finding     what one check has found
route       from the name of the platform to its clock: resolution, connection, TLS, Date
delivery    the key, and one event through a real client
machine     the spool, and what a container allows
checkup     all of them in order
"""
