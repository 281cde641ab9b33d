"""`dataart-mp ship`: ships files, and resumes where it was interrupted.

command          the options, and the result on standard output
run              one run, from the first row to the result
shipment         rows ─► events ─► client, and the position of the last event
pace             at most so many events per second
bad_rows         reports rows that are not events
failures         counts events that failed permanently, by cause
result           what a run has read and delivered
resumption       where a run starts, and where it writes its checkpoint
private_file     files that only their user may read, and that follow no link
checkpoint       the file that records how far files are shipped
checkpoint_lock  prevents two concurrent runs
checkpointer     a thread that updates the checkpoint during a run
dry_run          checks the rows and sends nothing
"""
