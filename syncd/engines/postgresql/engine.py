"""PostgreSQL as an engine: what is asked when, over which connection."""

from syncd.context import RunContext
from syncd.engines.base import ServerAccess, ServerIdentity
from syncd.engines.postgresql.accounts import read_accounts
from syncd.engines.postgresql.connection import connected
from syncd.engines.postgresql.sizes import read_sizes
from syncd.model.db_account import AccountReading
from syncd.model.db_size import SizeReading

_IDENTITY = """
    select current_setting('server_version'), session_user::text,
           (select version from pg_catalog.pg_stat_ssl where pid = pg_catalog.pg_backend_pid())
"""


class PostgreSQL:
    """A PostgreSQL server, version 12 or later; any number of threads may use it."""

    def __init__(self, access: ServerAccess) -> None:
        self._access = access

    def identify(self, ctx: RunContext) -> ServerIdentity:
        """Log in and ask who answers."""
        with connected(self._access, ctx, self._access.database) as connection:
            version, user, tls = connection.execute(_IDENTITY).fetchall()[0]
        return ServerIdentity("postgresql", version.split()[0], user, tls)

    def accounts(self, ctx: RunContext) -> AccountReading:
        """Read all roles with what they may do, database by database."""
        return read_accounts(self._access, ctx)

    def sizes(self, ctx: RunContext, largest_tables: int) -> SizeReading:
        """Read the sizes of all databases; with tables, over a connection to each."""
        return read_sizes(self._access, ctx, largest_tables)
