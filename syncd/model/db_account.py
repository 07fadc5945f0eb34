"""The accounts of a database server as one reading found them, and what it could not read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from syncd.errors import SyncdError
from syncd.model.privilege import On, Privilege

Kind = Literal["user", "role"]
Objects = Mapping[tuple[str, str, On], tuple[str, ...]]
"""The names of all tables, sequences and functions, by (database, schema, "table" and so on)."""


@dataclass(frozen=True, slots=True)
class DbAccount:
    """An account and all that it may do.

    `account` is `user@host` in MySQL, and the name of a role in PostgreSQL, where `public` (no role
    can be called so) stands for everybody. `active` tells whether somebody can log in as it now.
    `attributes` are JSON-like, in the server's own words. `capabilities` are sorted words that
    every engine shares: superuser, grant, create_user, create_database, replication, bypass_rls,
    locked, password_expired, system. `privileges` are sorted and without repetition.
    """

    account: str
    kind: Kind
    active: bool
    attributes: Mapping[str, object]
    capabilities: tuple[str, ...]
    privileges: tuple[Privilege, ...]


@dataclass(frozen=True, slots=True)
class Unread:
    """A part of the server that could not be read, so that what was known of it stays.

    `part` names it for people: `database shop`, `grants of app@%`. It concerns one account or all
    (None); of their privileges those in one database, on one kind of object, or all; and
    the attributes of these names.
    """

    part: str
    error: SyncdError
    account: str | None = None
    database: str | None = None
    on: On | None = None
    attributes: tuple[str, ...] = ()

    def hides(self, account: str, privilege: Privilege) -> bool:
        """Tell whether an account may have this privilege all the same."""
        return (
            self.concerns(account)
            and (self.database is None or self.database == privilege.database)
            and (self.on is None or self.on == privilege.on)
            and not (self.attributes and self.on is None and self.database is None)
        )

    def concerns(self, account: str) -> bool:
        """Tell whether something of this account is unread."""
        return self.account in (None, account)


@dataclass(frozen=True, slots=True)
class AccountReading:
    """All accounts of a server. `engine` is postgresql, mysql or mariadb, as the server says."""

    engine: str
    accounts: tuple[DbAccount, ...]
    unread: tuple[Unread, ...] = ()
    objects: Objects = field(default_factory=dict)
