"""Copies tables between servers: what a `table_copy` job does, whatever the engines."""
