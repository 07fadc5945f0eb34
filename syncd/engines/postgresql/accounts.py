"""All roles of a server with what they may do, server-wide and in each database."""

from collections import defaultdict
from typing import Final

from syncd.context import RunContext
from syncd.engines.base import ServerAccess
from syncd.engines.postgresql import roles as catalogue
from syncd.engines.postgresql.connection import Session, connected, snapshot
from syncd.engines.postgresql.databases import Database, list_databases, visit
from syncd.engines.postgresql.privileges import Found, read_database
from syncd.engines.postgresql.roles import PUBLIC, Role
from syncd.errors import BadData, SyncdError
from syncd.model.db_account import AccountReading, DbAccount, Unread
from syncd.model.privilege import On, Privilege

EVERYBODY: Final = "public"
"""The account of PUBLIC; no role can be called so."""


class _Gathering:
    """What one reading found so far; roles and grantees by their object identifiers.

    Names would not do: a session sees those of another database's encoding differently.
    """

    def __init__(self) -> None:
        self.roles: dict[int, Role] = {}
        self.direct: dict[int, set[int]] = defaultdict(set)
        self.privileges: dict[int, list[Privilege]] = defaultdict(list)
        self.objects: dict[tuple[str, str, On], tuple[str, ...]] = {}
        self.unread: list[Unread] = []

    def read_server(self, connection: Session) -> None:
        """Take what the server as a whole tells."""
        self.roles = catalogue.read_roles(connection)
        for member, role, privilege in catalogue.read_memberships(connection, self.roles):
            self.direct[member].add(role)
            self.privileges[member].append(privilege)
        for grantee, privilege in catalogue.read_shared(connection):
            self.privileges[grantee].append(privilege)

    def take(self, database: Database, found: Found | SyncdError) -> None:
        """Take what was found in a database, or why nothing was."""
        if isinstance(found, SyncdError):
            part = f"database {database.name}"
            self.unread.append(Unread(part, found, database=database.name))
            return
        for grantee, privilege in found.privileges:
            self.privileges[grantee].append(privilege)
        self.objects.update(found.objects)
        self.unread += found.unread

    def accounts(self) -> tuple[DbAccount, ...]:
        """Return all accounts, by name."""
        member_of = catalogue.effective(self.direct)
        made = [self._account(role, member_of.get(role.oid, set())) for role in self.roles.values()]
        made.append(self._everybody())
        return tuple(sorted(made, key=lambda account: account.account))

    def _account(self, role: Role, member_of: set[int]) -> DbAccount:
        privileges = sorted(self.privileges[role.oid])
        return DbAccount(
            role.name,
            "user" if role.login else "role",
            role.login and not role.expired and not catalogue.locked(role),
            catalogue.attributes(role, sorted(self.roles[oid].name for oid in member_of)),
            catalogue.capabilities(role, privileges),
            tuple(privileges),
        )

    def _everybody(self) -> DbAccount:
        privileges = tuple(sorted(self.privileges[PUBLIC]))
        return DbAccount(
            EVERYBODY,
            "role",
            active=False,
            attributes={},
            capabilities=("system",),
            privileges=privileges,
        )


def read_accounts(access: ServerAccess, ctx: RunContext) -> AccountReading:
    """Return all roles of a server; raises as `connected` does, and BadData when there is none.

    What the server tells as a whole is of one moment, and so is each database, but a later one: who
    is not among the roles by then is left to the next reading.
    """
    gathering = _Gathering()
    with connected(access, ctx, access.database) as connection, snapshot(connection):
        gathering.read_server(connection)
        databases = list_databases(connection, access)
    if not gathering.roles:
        raise BadData("the server tells of no role")
    known = {oid: role.name for oid, role in gathering.roles.items()}

    def read(session: Session, database: Database) -> Found:
        return read_database(session, database.name, known)

    for database, found in visit(access, ctx, databases, read):
        gathering.take(database, found)
    return AccountReading(
        "postgresql", gathering.accounts(), tuple(gathering.unread), gathering.objects
    )
