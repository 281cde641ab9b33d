"""The part of the client that runs in the application's process: it encodes and queues events."""
