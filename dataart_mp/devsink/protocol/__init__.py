"""The wire protocol of the platform, as the sink checks it."""
