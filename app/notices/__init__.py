"""What object stores say of the keys that somebody wrote or removed."""
