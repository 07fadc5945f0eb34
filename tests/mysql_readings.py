"""What the engine reads of the private MariaDB."""

from engine_run import context
from mariadb_server import MariaDbServer
from mysql_helpers import WATCHER, access

from syncd.engines.mysql.engine import MySQL
from syncd.model.db_account import AccountReading, DbAccount
from syncd.model.privilege import Privilege


def read(server: MariaDbServer, user: str = WATCHER) -> AccountReading:
    """Return how the engine reads all accounts, as a user."""
    return MySQL(access(server, user)).accounts(context())


def account(server: MariaDbServer, name: str) -> DbAccount:
    """Return how the engine reads one account, all of it."""
    reading = read(server)
    assert reading.unread == ()
    [found] = [each for each in reading.accounts if each.account == name]
    return found


def member(role: str, *options: str, grantable: bool = False) -> Privilege:
    """Return the privilege of whoever has a role."""
    return Privilege("role", (role,), "MEMBER", grantable, options)
