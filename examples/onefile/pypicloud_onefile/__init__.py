"""Everything in two files: a storage in SQLite, and a cache of JSON lines."""
