"""Redis as the doctor asks it; checks read its keys through `sides`."""

from syncd.context import RunContext
from syncd.engines.base import ServerAccess, ServerIdentity
from syncd.engines.redis.connection import connected
from syncd.errors import ConfigurationError
from syncd.model.db_account import AccountReading
from syncd.model.db_size import SizeReading


class Redis:
    """A server, or what speaks as one."""

    def __init__(self, access: ServerAccess) -> None:
        self._access = access

    def identify(self, ctx: RunContext) -> ServerIdentity:
        """Log in and ask who answers."""
        with connected(self._access, ctx) as session:
            return session.identity

    def accounts(self, ctx: RunContext) -> AccountReading:
        """Raise ConfigurationError: its accounts are not read."""
        del ctx
        raise ConfigurationError("the accounts of a redis are not read")

    def sizes(self, ctx: RunContext, largest_tables: int) -> SizeReading:
        """Raise ConfigurationError: it has no databases with sizes."""
        del ctx, largest_tables
        raise ConfigurationError("the sizes of a redis are not read")
