"""Whether there is what was asked for by name, when nothing was found of it."""

from syncd.cli.settings import Settings
from syncd.config.spelling import hint
from syncd.control.reads import Reads
from syncd.errors import ConfigurationError, NotFound
from syncd.model.queries import DbAccountQuery, SizeQuery


def check_server(settings: Settings, reads: Reads, server: str | None) -> None:
    """Raise NotFound for a server that is neither configured nor has anything in the store.

    Where the configuration can't be read, nothing is said.
    """
    if server is None or _is_stored(reads, server):
        return
    try:
        configured = settings.config.servers
    except ConfigurationError:
        return
    if server not in configured:
        raise NotFound(f"there is no server{hint(server, configured)}")


def _is_stored(reads: Reads, server: str) -> bool:
    accounts = reads.db_accounts(DbAccountQuery(server, limit=1))
    return bool(accounts or reads.sizes(SizeQuery(server, limit=1))["databases"])
