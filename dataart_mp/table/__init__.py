"""The mapping from the columns of a table to events.

A table is whatever has `__arrow_c_stream__`, or the rows of a file. It starts no process and sends
nothing: what emits the events is above this package.

column_map     a row ─► an event, by column
cell           text ─► typed values
time_format    text and numbers ─► timestamps
json_text      JSON ─► values, with exact integers
shown          values in messages
event          actions and identities
terms          the names of options in messages
"""
