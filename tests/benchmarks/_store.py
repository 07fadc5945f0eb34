"""The store that benchmarks measure."""

from collections.abc import Iterator
from contextlib import contextmanager

from syncd.store.database import Store
from syncd.store.embedded import EmbeddedPostgres
from syncd.store.migrate import migrate
from tests.databases import reachable_directory


@contextmanager
def store() -> Iterator[Store]:
    """Give a migrated store on an embedded server of its own."""
    with reachable_directory() as directory:
        server = EmbeddedPostgres(directory)
        opened = Store(server.start(60))
        opened.open()
        try:
            migrate(opened)
            yield opened
        finally:
            opened.close()
            server.stop(30)
