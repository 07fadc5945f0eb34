"""Frozen values that every room shares; nothing here does any input or output."""
