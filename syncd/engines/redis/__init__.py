"""Redis, read for consistency checks."""
