"""Roles and objects of a PostgreSQL that change at random, and what its own functions say of them.

The functions are those of the manual's "Access Privilege Inquiry Functions", asked as a superuser.
"""

from collections.abc import Mapping
from copy import deepcopy
from random import Random
from typing import Any

import psycopg
from facts import Fact, Path
from fleet_helpers import FleetPostgres
from psycopg import sql

DATABASES = ("truth one", "Truth2")
SCHEMAS = ("s1", 'S "2"')
ROLES = ("r0", "r1", "R 2", 'r"3', "r4é", "r5")
PUBLIC = "public"
COLUMNS = ("a", "B b")
PRIVILEGES = {
    "table": ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"),
    "column": ("SELECT", "INSERT", "UPDATE", "REFERENCES"),
    "sequence": ("USAGE", "SELECT", "UPDATE"),
    "function": ("EXECUTE",),
    "schema": ("USAGE", "CREATE"),
    "database": ("CONNECT", "CREATE", "TEMPORARY"),
}
FLAGS = ("CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS", "LOGIN", "INHERIT")

Held = dict[str, set[Fact]]
"""The direct privileges of each role; those of PUBLIC among them."""


class PgWorld:
    """Changes a server by single statements, and keeps in mind what each of them means."""

    def __init__(self, server: FleetPostgres, rng: Random) -> None:
        self.server, self.rng = server, rng
        self.held: Held = {PUBLIC: set()}
        self.objects: dict[str, list[Path]] = {"table": [], "sequence": [], "function": []}
        self.touched: set[Path] = set()
        self.flags: dict[str, set[str]] = {}
        self._number = 0
        self._open: dict[str, psycopg.Connection[tuple[Any, ...]]] = {}
        self._schemas = [(database, schema) for database in DATABASES for schema in SCHEMAS]
        for database in DATABASES:
            self._run(None, "create database {}", database)
            for schema in SCHEMAS:
                self._run(database, "create schema {}", schema)
            given = (Fact("database", (database,), one, "") for one in ("CONNECT", "TEMPORARY"))
            self.held[PUBLIC].update(given)

    def _run(self, database: str | None, text: str, *names: str) -> None:
        made = sql.SQL(text).format(*map(sql.Identifier, names))  # type: ignore[arg-type]
        self._in(database or "postgres").execute(made)

    def _in(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        """Return the connection to a database that is kept while the world lasts."""
        if database not in self._open:
            dsn = self.server.embedded.conninfo(database)
            self._open[database] = psycopg.connect(dsn, autocommit=True)
        return self._open[database]

    def close(self) -> None:
        for connection in self._open.values():
            connection.close()

    def begin(self) -> Held:
        """Begin a round: return what all roles hold."""
        self.touched = set()
        return deepcopy(self.held)

    def step(self) -> str:
        """Do something; return what."""
        acts = [self._role] * 2 + [self._object] * 3 + [self._grant] * 12 + [self._revoke] * 7
        acts += [self._member] * 3 + [self._leave] + [self._flag] * 2
        return self.rng.choice(acts)()

    @property
    def _living(self) -> list[str]:
        return sorted(self.flags)

    def _role(self) -> str:
        role = self.rng.choice(ROLES)
        if role not in self.flags:
            self._run(None, "create role {}", role)
            self.held[role], self.flags[role] = set(), {"INHERIT"}
            return f"create {role}"
        for database in DATABASES:
            self._run(database, "drop owned by {}", role)
        self._run(None, "drop role {}", role)
        del self.held[role], self.flags[role]
        for held in self.held.values():
            held -= {fact for fact in held if (fact.on, fact.name) == ("role", (role,))}
        return f"drop {role}"

    def _flag(self) -> str:
        if not self.flags:
            return self._role()
        role, flag = self.rng.choice(self._living), self.rng.choice(FLAGS)
        self.flags[role] ^= {flag}
        word = flag if flag in self.flags[role] else f"NO{flag}"
        self._run(None, f"alter role {{}} {word}", role)
        return f"{word} {role}"

    def _object(self) -> str:
        kind = self.rng.choice(["table", "table", "sequence", "function"])
        if len(self.objects[kind]) > 8 or (self.objects[kind] and self.rng.random() < 0.3):
            path = self.rng.choice(self.objects[kind])
            self.objects[kind].remove(path)
            name = path[2].removesuffix("()")
            self._run(path[0], f"drop {kind} {{}}.{{}}", path[1], name)
            for held in self.held.values():
                held -= {fact for fact in held if fact.name[:3] == path}
        else:
            database, schema = self.rng.choice(self._schemas)
            self._number += 1
            name = f"{kind} {self._number}"
            path = (database, schema, name + ("()" if kind == "function" else ""))
            self._run(database, _CREATE[kind], schema, name, *_COLUMN_NAMES.get(kind, ()))
            self.objects[kind].append(path)
            if kind == "function":
                self.held[PUBLIC].add(Fact(kind, path, "EXECUTE", ""))
        self.touched.add(path)
        return f"{kind} {path}"

    def _place(self) -> tuple[str, Path]:
        """Choose something that privileges are on."""
        on = self.rng.choice(
            ["table", "table", "column", "sequence", "function", "schema", "database"]
        )
        if on == "database":
            return on, (self.rng.choice(DATABASES),)
        choices = (
            self.objects["table" if on == "column" else on] if on != "schema" else self._schemas
        )
        if not choices:
            return "schema", self._schemas[0]
        path = self.rng.choice(choices)
        return on, (*path, self.rng.choice(COLUMNS)) if on == "column" else path

    def _target(self, on: str, name: Path, privilege: str) -> tuple[str, list[str], str]:
        """Return `PRIVILEGE ON ...` with its names and the database where to say it."""
        if on == "database":
            return f"{privilege} on database {{}}", [name[0]], "postgres"
        if on == "schema":
            return f"{privilege} on schema {{}}", [name[1]], name[0]
        if on == "column":
            return f"{privilege} ({{}}) on {{}}.{{}}", [name[3], name[1], name[2]], name[0]
        bare = name[2].removesuffix("()")
        return f"{privilege} on {on} {{}}.{{}}", [name[1], bare], name[0]

    def _grant(self) -> str:
        role = self.rng.choice([*self._living, PUBLIC])
        on, name = self._place()
        privilege = self.rng.choice(PRIVILEGES[on])
        text, names, database = self._target(on, name, privilege)
        option = role != PUBLIC and self.rng.random() < 0.2
        names += [] if role == PUBLIC else [role]
        whom = "public" if role == PUBLIC else "{}"
        self._run(database, f"grant {text} to {whom}{' with grant option' * option}", *names)
        self.held[role].add(Fact(on, name, privilege, ""))
        if option:
            self.held[role].add(Fact(on, name, privilege, "grantable"))
        return f"grant {privilege} {name} to {role} {option}"

    def _revoke(self) -> str:
        role = self.rng.choice([*self._living, PUBLIC])
        mine = sorted(fact for fact in self.held[role] if fact.on != "role" and not fact.flag)
        if not mine:
            return self._grant()
        on, name, privilege, _ = self.rng.choice(mine)
        text, names, database = self._target(on, name, privilege)
        only = role != PUBLIC and self.rng.random() < 0.2
        names += [] if role == PUBLIC else [role]
        whom = "public" if role == PUBLIC else "{}"
        self._run(database, f"revoke {'grant option for ' * only}{text} from {whom}", *names)
        flags = ("grantable",) if only else ("", "grantable")
        self.held[role] -= {Fact(on, name, privilege, flag) for flag in flags}
        if on == "table":  # "also automatically revokes the corresponding column privileges"
            self.held[role] -= {
                Fact("column", (*name, column), privilege, flag)
                for column in COLUMNS
                for flag in flags
            }
        return f"revoke {privilege} {name} from {role} {only}"

    def _member(self) -> str:
        if len(self.flags) < 2:
            return self._role()
        low, high = sorted(self.rng.sample(self._living, 2))
        admin = self.rng.random() < 0.3
        self._run(None, f"grant {{}} to {{}}{' with admin option' * admin}", low, high)
        known = {fact.flag for fact in self.held[high] if fact.name == (low,)}
        flags = {""} | ({"set"} if not known else set()) | ({"grantable"} if admin else set())
        if not known and "INHERIT" in self.flags[high]:
            flags.add("inherit")
        self.held[high] |= {Fact("role", (low,), "MEMBER", flag) for flag in flags}
        return f"grant {low} to {high} {admin}"

    def _leave(self) -> str:
        pairs = [
            (role, f.name[0]) for role in self._living for f in self.held[role] if f.on == "role"
        ]
        if not pairs:
            return self._member()
        high, low = self.rng.choice(sorted(pairs))
        self._run(None, "revoke {} from {}", low, high)
        self.held[high] -= {fact for fact in self.held[high] if fact.name == (low,)}
        return f"revoke {low} from {high}"

    def members(self, kind: str, schema: Path) -> list[str]:
        """Return the names of a schema's objects."""
        return [path[2] for path in self.objects[kind] if path[:2] == schema]

    def answers(self) -> set[tuple[str, Fact]]:
        """Ask the server's functions what each role may do, by all its ways; "" and grantable."""
        found: set[tuple[str, Fact]] = set()
        roles = [*self._living, PUBLIC]
        for database in DATABASES:
            for on, query in _QUESTIONS.items():
                asked = (roles, list(PRIVILEGES[on]), list(SCHEMAS))
                rows = self._in(database).execute(query.encode(), asked)
                found |= {
                    (role, Fact(on, (database, *path), privilege, flag))
                    for role, path, privilege, flag in rows
                }
        return found

    def databases(self) -> dict[str, int]:
        """Return the sizes of all databases, by the function of each one's name."""
        rows = self.server.rows("select datname, pg_database_size(datname) from pg_database")
        return {name: size for name, size in rows if name != "template0"}


_CREATE: Mapping[str, str] = {
    "table": "create table {}.{} ({} integer, {} text)",
    "sequence": "create sequence {}.{}",
    "function": "create function {}.{}() returns integer return 1",
}
_COLUMN_NAMES: Mapping[str, tuple[str, ...]] = {"table": COLUMNS}


def _question(subject: str, path: str, function: str, arguments: str, where: str = "") -> str:
    """Return the query of all roles that have a privilege on the objects of a kind."""
    option = "privilege || case flag when '' then '' else ' WITH GRANT OPTION' end"
    return f"""
        with asked (roles, privileges, schemas) as (values (%s::text[], %s::text[], %s::text[]))
        select role, {path}::text[], privilege, flag
        from asked, unnest(roles) role, unnest(privileges) privilege,
             unnest(array['', 'grantable']) flag, {subject}
        where has_{function}_privilege(role, {arguments}, {option})
          and {where or "nspname = any (schemas)"}"""


_SPACE = "join pg_namespace n on n.oid = relnamespace"
_COLUMNS = f"pg_attribute a join pg_class c on c.oid = attrelid and attnum > 0 {_SPACE}"
_QUESTIONS: Mapping[str, str] = {
    "table": _question(
        f"pg_class c {_SPACE} and relkind = 'r'", "array[nspname, relname]", "table", "c.oid"
    ),
    "column": _question(
        f"{_COLUMNS} and relkind = 'r'", "array[nspname, relname, attname]", "column",
        "c.oid, attnum",
    ),
    "sequence": _question(
        f"pg_class c {_SPACE} and relkind = 'S'", "array[nspname, relname]", "sequence", "c.oid"
    ),
    "function": _question(
        "pg_proc p join pg_namespace n on n.oid = pronamespace",
        "array[nspname, proname || '()']", "function", "p.oid",
    ),
    "schema": _question("pg_namespace n", "array[nspname]", "schema", "n.oid"),
    "database": _question(
        "pg_database d", "array[]::text[]", "database", "d.oid", "datname = current_database()"
    ),
}  # fmt: skip


def effective(rows: Mapping[str, Any], held: Mapping[str, set[Fact]]) -> set[tuple[str, Fact]]:
    """Return what each role may do by its own, inherited and everybody's privileges.

    A privilege on a table is one on each of its columns.
    """
    found: set[tuple[str, Fact]] = set()
    for role in rows:
        mine = set().union(*(held[each] for each in _with_inherited(role, held)))
        for fact in mine - {f for f in mine if f.on == "role"}:
            found.add((role, fact))
            if fact.on == "table" and fact.privilege in PRIVILEGES["column"]:
                for column in COLUMNS:
                    found.add((role, Fact("column", (*fact.name, column), *fact[2:])))
    return found


def _with_inherited(role: str, held: Mapping[str, set[Fact]]) -> set[str]:
    """Return a role, PUBLIC, and those whose privileges the role inherits."""
    found, waiting = {PUBLIC}, [role]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += [f.name[0] for f in held[one] if f.on == "role" and f.flag == "inherit"]
    return found
