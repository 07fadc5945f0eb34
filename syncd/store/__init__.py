"""syncd's own PostgreSQL: the only rooms that speak SQL to it, one module a concern."""
