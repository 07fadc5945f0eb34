"""Accounts of a MariaDB that change at random, and what its information schema says of them.

The tables are USER_PRIVILEGES, SCHEMA_PRIVILEGES, TABLE_PRIVILEGES and COLUMN_PRIVILEGES of
information_schema, and those of mysql for what these leave out: routines, proxies,
and what roles may do by themselves.
"""

import os
from collections import defaultdict
from collections.abc import Iterable
from random import Random

from facts import Fact
from fleet_helpers import FleetMariaDb

USERS = (("u0", "%"), ("u0", "localhost"), ("U 1", "10.%"), ("u`2'\"", "%"), ("e\\3", "::1"))
"""In ASCII: of others MariaDB 10.11 mangles the rows of mysql.procs_priv, and leaves them there."""
ROLES = ("role0", "Role 1", "ro`le")
DATABASES = ("truth one", "Truth2", "tr`uth_%3")
TABLES = ("t", "T 2", 't`"3')
COLUMNS = ("a", "B b")
ROUTINES = ("PROCEDURE", "FUNCTION")
PRIVILEGES = {
    "server": ("SELECT", "INSERT", "RELOAD", "PROCESS", "FILE", "CREATE USER", "SUPER", "EVENT"),
    "database": ("SELECT", "INSERT", "CREATE", "DROP", "LOCK TABLES", "EXECUTE", "SHOW VIEW"),
    "table": ("SELECT", "INSERT", "UPDATE", "DELETE", "TRIGGER", "ALTER", "INDEX"),
    "column": ("SELECT", "INSERT", "UPDATE", "REFERENCES"),
    "routine": ("EXECUTE", "ALTER ROUTINE"),
}
ALL = "ALL PRIVILEGES"
_SPELT = {
    "CREATE TMP TABLE": "CREATE TEMPORARY TABLES",
    "DELETE VERSIONING ROWS": "DELETE HISTORY",
}
"""How the tables of mysql call privileges, and everybody else."""
_LISTED = "select User, Host from mysql.user"

Held = dict[str, set[Fact]]


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def pattern(database: str) -> str:
    """Return a database's name as a GRANT takes it, which wants wildcards escaped."""
    return database.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%")


class MyWorld:
    """Changes a server by single statements."""

    def __init__(self, server: FleetMariaDb, rng: Random) -> None:
        self.data, self.rng = server.server.data, rng
        self._connection = server.server.connect()
        self.users: set[tuple[str, str]] = set()
        self.roles: set[str] = set()
        self.locked: set[tuple[str, str]] = set()
        for database in DATABASES:
            self._execute(f"create database {quoted(database)}")
            columns = ", ".join(f"{quoted(column)} integer" for column in COLUMNS)
            for table in TABLES:
                engine = "myisam" if table == TABLES[1] else "innodb"
                place = f"{quoted(database)}.{quoted(table)}"
                self._execute(f"create table {place} ({columns}) engine = {engine}")
            self._execute(
                f"create procedure {quoted(database)}.routine() select 1",
                f"create function {quoted(database)}.routine() returns integer return 1",
            )
        self._execute("create user probe", "grant all on probe.* to probe",
                       "grant all on probe.t to probe")  # fmt: skip
        self._all = {on: self._everything(on) for on in ("server", "database", "table")}
        self._execute("drop user probe")

    def _everything(self, on: str) -> set[str]:
        """Return what ALL PRIVILEGES stands for."""
        table = {"server": "USER", "database": "SCHEMA", "table": "TABLE"}[on]
        who = "'root'@'localhost'" if on == "server" else "'probe'@'%'"
        rows = self._rows_of(
            f"select privilege_type from information_schema.{table}_PRIVILEGES"
            f' where grantee = "{who}"'
        )
        return {name for (name,) in rows}

    def _execute(self, *statements: str) -> None:
        with self._connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def _rows_of(self, query: str) -> list[tuple]:
        with self._connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def put_away(self) -> None:
        for user in sorted(self.users):
            self._execute(f"drop user {self._account(user)}")
        for role in sorted(self.roles):
            self._execute(f"drop role {quoted(role)}")
        for database in DATABASES:
            self._execute(f"drop database {quoted(database)}")
        self._connection.close()

    @staticmethod
    def _account(who: tuple[str, str] | str) -> str:
        return quoted(who) if isinstance(who, str) else f"{quoted(who[0])}@{quoted(who[1])}"

    def step(self) -> str:
        """Do something; return what."""
        acts = [self._user] * 2 + [self._role] + [self._grant] * 12 + [self._revoke] * 8
        acts += [self._member] * 3 + [self._leave] + [self._lock] * 2
        statement = self.rng.choice(acts)()
        self._execute(statement)
        return statement

    def _user(self) -> str:
        user = self.rng.choice(USERS)
        verb = "drop" if user in self.users else "create"
        self.users ^= {user}
        self.locked.discard(user)
        return f"{verb} user {self._account(user)}"

    def _role(self) -> str:
        role = self.rng.choice(ROLES)
        verb = "drop" if role in self.roles else "create"
        self.roles ^= {role}
        return f"{verb} role {quoted(role)}"

    def _lock(self) -> str:
        if not self.users:
            return self._user()
        user = self.rng.choice(sorted(self.users))
        self.locked ^= {user}
        verb = "lock" if user in self.locked else "unlock"
        return f"alter user {self._account(user)} account {verb}"

    def _who(self) -> tuple[str, str] | str | None:
        living = [*sorted(self.users), *sorted(self.roles)]
        return self.rng.choice(living) if living else None

    def _place(self) -> tuple[str, str, str]:
        """Choose something that privileges are on: its kind, the words, and a column or ""."""
        on = self.rng.choice(["table", *PRIVILEGES])
        database = self.rng.choice(DATABASES)
        if on == "server":
            return on, "*.*", ""
        if on == "database":
            return on, f"{quoted(pattern(database))}.*", ""
        if on == "routine":
            return on, f"{self.rng.choice(ROUTINES)} {quoted(database)}.routine", ""
        column = f" ({quoted(self.rng.choice(COLUMNS))})" if on == "column" else ""
        return on, f"{quoted(database)}.{quoted(self.rng.choice(TABLES))}", column

    def _grant(self) -> str:
        who = self._who()
        if who is None:
            return self._user()
        on, place, column = self._place()
        privilege = self.rng.choice(PRIVILEGES[on])
        if on in self._all and self.rng.random() < 0.15 and not (on == "server" and who in ROLES):
            privilege = ALL
        option = " with grant option" * (self.rng.random() < 0.2)
        return f"grant {privilege}{column} on {place} to {self._account(who)}{option}"

    def _revoke(self) -> str:
        """Take away something that is there, or the option to grant it on."""
        held = self.catalogue()
        named = {self.name(who): who for who in [*self.users, *self.roles]}
        choices = sorted(
            (name, fact) for name in named for fact in held.get(name, ()) if fact.on != "role"
        )
        if not choices:
            return self._grant()
        name, fact = self.rng.choice(choices)
        option = fact.flag == "grantable" or fact.privilege == "USAGE"
        column = f" ({quoted(fact.name[2])})" if fact.on == "column" and not option else ""
        privilege = "grant option" if option else fact.privilege
        path = ".".join(map(quoted, fact.name[:2]))
        words = {"server": "*.*", "database": f"{path}.*", "table": path, "column": path}
        place = words.get(fact.on, f"{fact.on} {path}")
        return f"revoke {privilege}{column} on {place} from {self._account(named[name])}"

    def _member(self) -> str:
        if not self.roles:
            return self._role()
        role = self.rng.choice(sorted(self.roles))
        others = [who for who in [*sorted(self.users), *sorted(self.roles)] if who != role]
        others = [who for who in others if not isinstance(who, str) or who > role]
        if not others:
            return self._user()
        option = " with admin option" * (self.rng.random() < 0.3)
        return f"grant {quoted(role)} to {self._account(self.rng.choice(others))}{option}"

    def _leave(self) -> str:
        rows = self._rows_of("select User, Host, Role from mysql.roles_mapping")
        mine = [row for row in sorted(rows) if row[0] != "root" and row[2] in ROLES]
        if not mine:
            return self._member()
        user, host, role = self.rng.choice(mine)
        who = (user, host) if host else user
        return f"revoke {quoted(role)} from {self._account(who)}"

    @staticmethod
    def name(who: tuple[str, str] | str) -> str:
        return who if isinstance(who, str) else "@".join(who)

    def catalogue(self) -> Held:
        """Return the privileges of all accounts as the server's tables show them."""
        held: Held = defaultdict(set)
        for who, on, *path, privilege, grantable in self._rows():
            fact = Fact(on, tuple(path), privilege, "")
            held[who] |= {fact} | ({fact._replace(flag="grantable")} if grantable else set())
        for who, facts in held.items():
            held[who] = {f for f in facts if not _is_empty(f, facts) and self._is_shown(f, facts)}
        return held

    def _is_shown(self, fact: Fact, facts: set[Fact]) -> bool:
        """Tell whether SHOW GRANTS names it: none on columns of a table with ALL PRIVILEGES."""
        table = {each.privilege for each in facts if each[:2] == ("table", fact.name[:2])}
        return fact.on != "column" or not table >= self._all["table"]

    def _rows(self) -> Iterable[tuple]:
        named = {f"'{user}'@'{host}'": (user, host) for user, host in self._listed()}
        for table, on, columns in [
            ("USER", "server", ""),
            ("SCHEMA", "database", "table_schema, "),
            ("TABLE", "table", "table_schema, table_name, "),
            ("COLUMN", "column", "table_schema, table_name, column_name, "),
        ]:
            for grantee, *rest in self._rows_of(
                f"select grantee, {columns}privilege_type, is_grantable = 'YES'"
                f" from information_schema.{table}_PRIVILEGES"
            ):
                user, host = named[grantee]
                if host:
                    yield (f"{user}@{host}", on, *rest)
        yield from self._of_roles()
        for user, host, database, routine, kind, privileges in self._rows_of(
            "select User, Host, Db, Routine_name, lower(Routine_type), Proc_priv"
            " from mysql.procs_priv"
        ):
            words = set(privileges.upper().split(",")) - {""}
            for word in words - {"GRANT"} or {"USAGE"}:
                who = f"{user}@{host}" if host else user
                yield who, kind, database, routine, word, "GRANT" in words
        for user, host, other, place, option in self._rows_of(
            "select User, Host, Proxied_user, Proxied_host, With_grant from mysql.proxies_priv"
        ):
            yield f"{user}@{host}", "proxy", f"{other}@{place or '%'}", "PROXY", option
        for user, host, role, admin in self._rows_of(
            "select User, Host, Role, Admin_option = 'Y' from mysql.roles_mapping"
        ):
            yield f"{user}@{host}" if host else user, "role", role, "MEMBER", admin

    def _of_roles(self) -> Iterable[tuple]:
        """Yield what roles may do by themselves: the information schema adds their roles' to it."""
        columns = [f"{word.replace(' ', '_')}_priv = 'Y'" for word in PRIVILEGES["server"]]
        for role, grantable, *has in self._rows_of(
            f"select User, Grant_priv = 'Y', {', '.join(columns)} from mysql.user"
            " where is_role = 'Y'"
        ):
            words = [word for word, so in zip(PRIVILEGES["server"], has, strict=True) if so]
            for word in words or ["USAGE"]:
                yield role, "server", word, grantable
        named = [name for (name, *_) in self._rows_of("show columns from mysql.db")]
        for database, role, *has in self._rows_of(
            f"select Db, User, {', '.join(named[3:])} from mysql.db where Host = ''"
        ):
            flags = {name for name, flag in zip(named[3:], has, strict=True) if flag == "Y"}
            for name in flags - {"Grant_priv"} or {"USAGE_priv"}:
                word = name.removesuffix("_priv").replace("_", " ").upper()
                yield role, "database", database, _SPELT.get(word, word), "Grant_priv" in flags
        may_grant = set()
        for role, database, table, text in self._rows_of(
            "select User, Db, Table_name, Table_priv from mysql.tables_priv where Host = ''"
        ):
            words = set(text.upper().split(",")) - {""}
            if grantable := "GRANT" in words:
                may_grant.add((role, database, table))
            for word in words - {"GRANT"} or {"USAGE"}:
                yield role, "table", database, table, _SPELT.get(word, word), grantable
        for role, *path, text in self._rows_of(
            "select User, Db, Table_name, Column_name, Column_priv from mysql.columns_priv"
            " where Host = ''"
        ):
            for word in text.upper().split(","):
                yield role, "column", *path, word, (role, *path[:2]) in may_grant

    def _listed(self) -> list[tuple[str, str]]:
        return [(user, host) for user, host in self._rows_of("select User, Host from mysql.user")]

    def expanded(self, facts: set[Fact]) -> set[Fact]:
        """Return facts with ALL PRIVILEGES told one by one."""
        return {
            fact._replace(privilege=privilege)
            for fact in facts
            for privilege in (self._all[fact.on] if fact.privilege == ALL else [fact.privilege])
        }

    def files(self) -> dict[str, int]:
        """Return the sizes of the databases' files on the disk, by the directories' names."""
        sizes = {}
        for database in DATABASES:
            ((spelt,),) = self._rows_of(
                f"select cast(convert('{database}' using filename) as binary)"
            )
            directory = self.data / os.fsdecode(spelt)
            counted = (".ibd", ".MYD", ".MYI")
            sizes[database] = sum(
                file.stat().st_size for file in directory.iterdir() if file.suffix in counted
            )
        return sizes


def _is_empty(fact: Fact, facts: set[Fact]) -> bool:
    """Tell whether a fact says nothing: USAGE, unless that may be granted on, and stands alone."""
    if fact.privilege != "USAGE":
        return False
    if fact._replace(flag="grantable") not in facts:
        return True
    inside = (each for each in facts if each.on == "column" and fact.on == "table")
    return any(each.name[:2] == fact.name for each in inside)
