"""The live page: its files, and the stream of events that it reads."""
