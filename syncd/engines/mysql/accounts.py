"""The accounts of a server: who is listed, what SHOW GRANTS says, which roles that adds up to."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from syncd.engines.mysql.catalogue import Listed, listed
from syncd.engines.mysql.connection import Session
from syncd.engines.mysql.failures import NO_SUCH_GRANT, code_of
from syncd.engines.mysql.grants import ALL, account_name, privileges_of
from syncd.errors import BadData, Permission
from syncd.model.db_account import AccountReading, DbAccount, Unread
from syncd.model.privilege import MEMBER, Privilege

Roles = Mapping[str, frozenset[str]]
"""The roles of each account that has any."""
Grants = frozenset[Privilege]

_MISSING: Final = "GRANT SELECT ON mysql.* is missing"

_CAPABILITIES: Final = {
    "superuser": "SUPER",
    "create_user": "CREATE USER",
    "create_database": "CREATE",
    "replication": "REPLICATION SLAVE",
}
"""Which privileges on the whole server give a capability; ALL PRIVILEGES gives each."""


def read_accounts(session: Session, excluded: Collection[str] = ()) -> AccountReading:
    """Read all accounts; raises Permission when they can't be listed, BadData when there is none.

    What is granted inside of the excluded databases is left out. Capabilities are those of the
    account itself, not of its roles, which have their own.
    """
    unread: list[Unread] = []
    accounts = _list(session)
    edges = _edges(session, unread)
    defaults = _defaults(session, accounts, unread)
    granted = _granted(session, accounts, unread)
    made = [
        _account(
            one, _outside(granted[one.account], excluded), edges,
            defaults.get(one.account, frozenset()),
        )
        for one in accounts
        if one.account in granted
    ]  # fmt: skip
    if not made:
        raise BadData("the server lists no account")
    return AccountReading(session.dialect.engine, tuple(made), tuple(unread))


def _list(session: Session) -> list[Listed]:
    try:
        return sorted(listed(session), key=lambda one: one.account)
    except Permission as error:
        raise Permission(f"{_MISSING}: {error}") from error


def _granted(
    session: Session, accounts: Collection[Listed], unread: list[Unread]
) -> dict[str, Grants | None]:
    """Return the privileges of each account that exists; None of one that the server ignores.

    It does so with a host that is a name when it resolves none (`skip_name_resolve`), and with
    rows that were written into its tables by hand.
    """
    roles = {one.account for one in accounts if one.kind == "role"}
    granted: dict[str, Grants | None] = {}
    try:
        if unknown := _ask(session, accounts, roles, granted, unread):
            still = {one.account for one in listed(session)}
            again = [one for one in unknown if one.account in still]
            ignored = _ask(session, again, roles, granted, unread)
            granted.update(dict.fromkeys((one.account for one in ignored), None))
    except Permission as error:  # nobody's may be read, but those of the login itself
        why = Permission(f"{_MISSING}: {error}")
        unread.append(Unread("grants", why))
        unread.append(Unread("grants", why, attributes=("ignored", "account.active")))
        return {one.account: frozenset() for one in accounts}
    return granted


def _ask(
    session: Session,
    accounts: Iterable[Listed],
    roles: Collection[str],
    granted: dict[str, Grants | None],
    unread: list[Unread],
) -> list[Listed]:
    """Add the privileges of each account; return those that the server says it does not have."""
    unknown: list[Listed] = []
    for one in accounts:
        try:
            lines = [row[0] for row in session.rows(f"SHOW GRANTS FOR {one.quoted}")]
            granted[one.account] = frozenset(privileges_of(one.account, lines, roles))
        except BadData as error:
            if code_of(error.__cause__) in NO_SUCH_GRANT:
                unknown.append(one)
                continue
            granted[one.account] = frozenset()
            unread.append(Unread(f"grants of {one.account}", error, one.account))
    return unknown


def _outside(granted: Grants | None, excluded: Collection[str]) -> Grants | None:
    """Return privileges without those inside of some databases."""
    if not granted or not excluded:
        return granted
    return frozenset(each for each in granted if each.database not in excluded)


def _edges(session: Session, unread: list[Unread]) -> Roles:
    """Return the roles that are granted to each account directly."""
    hostless = session.dialect.mariadb
    if hostless:
        query = "SELECT User, Host, Role, NULL FROM mysql.roles_mapping"
    elif session.dialect.mysql8:
        query = "SELECT TO_USER, TO_HOST, FROM_USER, FROM_HOST FROM mysql.role_edges"
    else:
        return {}
    try:
        return _by_account(session.rows(query), hostless=hostless)
    except (BadData, Permission) as error:
        unread.append(Unread("roles", error, attributes=("effective_roles",)))
        return {}


def _defaults(session: Session, accounts: Iterable[Listed], unread: list[Unread]) -> Roles:
    """Return the roles that each account has from its log-in on."""
    if session.dialect.mariadb:
        return {
            one.account: frozenset({account_name(one.default_role, None)})
            for one in accounts
            if one.default_role
        }
    if not session.dialect.mysql8:
        return {}
    query = "SELECT USER, HOST, DEFAULT_ROLE_USER, DEFAULT_ROLE_HOST FROM mysql.default_roles"
    try:
        return _by_account(session.rows(query), hostless=False)
    except (BadData, Permission) as error:
        unread.append(Unread("default roles", error, attributes=("default_roles",)))
        unread.append(Unread("default roles", error, on="role"))
        return {}


def _by_account(rows: Iterable[tuple[str, ...]], *, hostless: bool) -> Roles:
    found: dict[str, set[str]] = {}
    for user, host, role, role_host in rows:
        owner = account_name(user, None if hostless and not host else host)
        found.setdefault(owner, set()).add(account_name(role, role_host))
    return {owner: frozenset(roles) for owner, roles in found.items()}


def _account(
    one: Listed, granted: Grants | None, edges: Roles, defaults: frozenset[str]
) -> DbAccount:
    privileges = sorted(_flagged(each, defaults) for each in granted or ())
    told: dict[str, object] = {
        "default_roles": sorted(defaults),
        "effective_roles": sorted(_reached(one.account, edges)),
        "ignored": granted is None,
    }
    return DbAccount(
        account=one.account,
        kind=one.kind,
        active=one.kind == "user" and not one.locked and granted is not None,
        attributes={**one.attributes, **{name: value for name, value in told.items() if value}},
        capabilities=tuple(sorted(_capabilities(one, privileges))),
        privileges=tuple(privileges),
    )


def _flagged(privilege: Privilege, defaults: frozenset[str]) -> Privilege:
    if privilege.privilege == MEMBER and privilege.name[0] in defaults:
        return replace(privilege, options=("default",))
    return privilege


def _reached(account: str, edges: Roles) -> set[str]:
    """Return the roles of an account, and those inside them."""
    reached: set[str] = set()
    todo = [account]
    while todo:
        new = edges.get(todo.pop(), frozenset()) - reached
        reached |= new
        todo += new
    return reached


def _capabilities(one: Listed, privileges: Collection[Privilege]) -> Iterator[str]:
    everywhere = {p.privilege for p in privileges if p.on == "server" and not p.restricts}
    for word, asked in _CAPABILITIES.items():
        if everywhere & {asked, ALL}:
            yield word
    flags = {
        "grant": any(p.grantable for p in privileges),
        "locked": one.locked and one.kind == "user",  # a role of MySQL is so by nature
        "password_expired": one.password_expired and one.kind == "user",
        "system": one.system,
    }
    yield from (word for word, so in flags.items() if so)
