"""`dataart-mp status`: shows clients in other processes, and what clients have left in a spool.

command      options, looks and the exit code
report       what is shown, as text and as JSON
prometheus   the same as metrics
"""
