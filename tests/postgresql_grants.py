"""Readings of PostgreSQL servers in tests, and privileges turned into statements again."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from debian_postgres import PrivateServer
from engine_run import context
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from syncd.engines.registry import build
from syncd.model.db_account import AccountReading, DbAccount
from syncd.model.privilege import MEMBER, OWNER, On, Privilege

WHOLES: Final[Mapping[On, On]] = {
    "all_tables": "table",
    "all_sequences": "sequence",
    "all_functions": "function",
}
DEFAULTS: Final[Mapping[On, str]] = {
    "default_tables": "tables",
    "default_sequences": "sequences",
    "default_functions": "functions",
    "default_types": "types",
    "default_schemas": "schemas",
    "default_large_objects": "large objects",
}


def read(server: PrivateServer, database: str | None = None, **changed: Any) -> AccountReading:
    """Return the accounts of a server, with what they may do in one database or in all."""
    if database is not None:
        names = {name for (name,) in server.rows("select datname from pg_database")}
        changed["excluded"] = names - {database}
    return build(server.access(**changed)).accounts(context())


def account(reading: AccountReading, name: str) -> DbAccount:
    [found] = [one for one in reading.accounts if one.account == name]
    return found


def within(reading: AccountReading, name: str, database: str) -> set[Privilege]:
    """Return what an account may do in a database."""
    return {p for p in account(reading, name).privileges if p.database == database}


def statements(grants: Iterable[tuple[str, Privilege]]) -> Iterator[Composed]:
    """Yield what gives and takes accounts their privileges: owners first, the grantors of all."""
    pairs = list(grants)
    for name, privilege in pairs:
        if privilege.privilege == OWNER:
            yield SQL("alter {} owner to {}").format(_altered(privilege), Identifier(name))
    for name, privilege in pairs:
        if privilege.privilege != OWNER:
            yield _granting(name, privilege)


def each(privilege: Privilege, reading: AccountReading) -> list[Privilege]:
    """Return one privilege for each object that it stands for."""
    if privilege.on not in WHOLES:
        return [privilege]
    on = WHOLES[privilege.on]
    database, schema = privilege.name
    names = reading.objects[database, schema, on]
    return [replace(privilege, on=on, name=(database, schema, name)) for name in names]


def revoking(privilege: Privilege, owner: str) -> Iterator[Composed]:
    """Yield what takes from all and from an owner what they have of an object without a grant."""
    for name in (SQL("public"), Identifier(owner)):
        yield SQL("revoke all on {} from {}").format(_object(privilege), name)


def _altered(privilege: Privilege) -> Composed:
    """Return an object as ALTER names it: a server is called foreign in GRANT alone."""
    if privilege.on == "foreign_server":
        return SQL("server {}").format(Identifier(privilege.name[1]))
    return _object(privilege)


def _granting(name: str, privilege: Privilege) -> Composed:
    """Return what grants a privilege, or revokes one that is not to be there."""
    role = SQL("public") if name == "public" else Identifier(name)
    if privilege.on == "role":
        return _membership(role, privilege)
    option = SQL(" with grant option" if privilege.grantable else "")
    verb, to = (SQL("revoke"), SQL("from")) if privilege.restricts else (SQL("grant"), SQL("to"))
    if privilege.on in DEFAULTS:
        _, creator, schema = privilege.name
        place = SQL(" in schema {}").format(Identifier(schema)) if schema else SQL("")
        return SQL("alter default privileges for role {}{} {} {} on {} {} {}{}").format(
            Identifier(creator), place, verb, SQL(privilege.privilege),
            SQL(DEFAULTS[privilege.on]), to, role, option,
        )  # fmt: skip
    what: Composable = SQL(privilege.privilege)
    if privilege.on == "column":
        what = SQL("{} ({})").format(what, Identifier(privilege.name[-1]))
    return SQL("{} {} on {} {} {}{}").format(verb, what, _object(privilege), to, role, option)


def _membership(to: Composable, privilege: Privilege) -> Composed:
    assert privilege.privilege == MEMBER
    admin = SQL("true" if privilege.grantable else "false")
    return SQL("grant {} to {} with admin {}").format(Identifier(*privilege.name), to, admin)


def _object(privilege: Privilege) -> Composed:
    """Return an object as GRANT names it."""
    path = privilege.name if privilege.on == "database" else privilege.name[1:]
    match privilege.on:
        case "all_tables" | "all_sequences" | "all_functions" as on:
            return SQL("{} in schema {}").format(SQL(on.replace("_", " ")), Identifier(*path))
        case "column":
            return SQL("table {}").format(Identifier(*path[:-1]))
        case "function" | "procedure" as on:
            name, _, arguments = path[1].partition("(")
            return SQL("{} {}({}").format(SQL(on), Identifier(path[0], name), SQL(arguments))
        case "large_object":
            return SQL("large object {}").format(Literal(int(path[0])))
        case on:
            return SQL("{} {}").format(SQL(on.replace("_", " ")), Identifier(*path))
