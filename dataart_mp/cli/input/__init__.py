"""Files become rows, and rows become events.

row            a row, and its position in its file
line           the lines of a file ─► rows of JSON Lines
csv_rows       lines ─► rows of CSV
parquet_rows   a file ─► rows of Parquet
beginning      the first bytes of a file or pipe
compression    gzip and zstd, detected by content
signature      other formats, named by content
event          actions and identities, and how a line of JSON becomes one
refusal        why a client refuses an event, in terms of rows and options
json_text      JSON ─► values, with exact integers
cell           text ─► typed values
shown          values in messages
time_format    text and numbers ─► timestamps
column_map     rows ─► events, by column
source         several files of any format as one sequence of rows
options        the command-line options for all of this
error          a file that cannot be read
"""
