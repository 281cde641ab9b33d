"""What runs in the application's process: an event becomes a record, which goes into the queue."""
