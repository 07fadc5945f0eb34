"""MySQL and MariaDB as the jobs ask them; docs/fleet.md tells what a login needs for it."""

from syncd.context import RunContext
from syncd.engines.base import ServerAccess, ServerIdentity
from syncd.engines.mysql.accounts import read_accounts
from syncd.engines.mysql.connection import connected
from syncd.engines.mysql.sizes import read_sizes
from syncd.model.db_account import AccountReading
from syncd.model.db_size import SizeReading


class MySQL:
    """A server of either kind; which one it is, it is asked."""

    def __init__(self, access: ServerAccess) -> None:
        self._access = access

    def identify(self, ctx: RunContext) -> ServerIdentity:
        """Log in and ask who answers."""
        with connected(self._access, ctx) as session:
            return session.identity

    def accounts(self, ctx: RunContext) -> AccountReading:
        """Read all accounts with what they may do; raises BadData when there is none."""
        with connected(self._access, ctx) as session:
            return read_accounts(session, self._access.excluded)

    def sizes(self, ctx: RunContext, largest_tables: int) -> SizeReading:
        """Read the sizes of all databases, and of so many of the largest tables of each."""
        with connected(self._access, ctx) as session:
            return read_sizes(session, self._access.excluded, largest_tables)
