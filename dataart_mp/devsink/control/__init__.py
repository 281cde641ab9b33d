"""The sink's control API, `/_sink/…`."""
