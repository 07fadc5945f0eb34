"""Compares two sides, row by row but without moving them: what a `consistency_check` job does."""
