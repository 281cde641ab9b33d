"""The mapping from the columns of a table to events.

A table is whatever has `__arrow_c_stream__`, or the rows of a file. It starts no process and sends
nothing: what emits the events is above this package.

arguments      the arguments of `emit_table`, checked
literal        values that are the same in all rows
arrow          pyarrow, and the batches of a table
emission       one call of `emit_table`
encoder        a batch ─► records, column by column
column         a column ─► JSON
times          a column of timestamps ─► text
text           columns of text, joined and escaped
rows           a batch ─► rows, for those that the encoder leaves
nanoseconds    times with nanoseconds
column_map     a row ─► an event, by column
metadata_text  text ─► the columns of the metadata
cell           text ─► typed values
time_format    text and numbers ─► timestamps
json_text      JSON ─► values, with exact integers
shown          values in messages
event          actions and identities
terms          the names of options in messages
"""
