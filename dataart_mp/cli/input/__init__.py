"""Files become rows, and rows become events: the package `table` maps their columns.

row            a row, its position in its file, and the event in it
line           the lines of a file ─► rows of JSON Lines
csv_rows       lines ─► rows of CSV
numeric        columns of CSV whose cells are numbers
parquet_rows   a file ─► rows of Parquet
row_batch      many rows of Parquet at once
beginning      the first bytes of a file or pipe
compression    gzip and zstd, detected by content
signature      other formats, named by content
event_line     a line of JSON ─► an action or an identity
emitter        what takes the events of rows
refusal        why a client refuses an event, in terms of rows and options
terms          the options, as messages about columns name them
source         several files of any format as one sequence of rows
options        the command-line options for all of this
error          a file that cannot be read
"""
