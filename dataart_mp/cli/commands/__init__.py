"""What can be typed after `dataart-mp`."""
