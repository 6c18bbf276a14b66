"""What holds for every backend of a protocol: one class for each protocol."""
