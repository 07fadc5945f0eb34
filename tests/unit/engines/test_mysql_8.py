"""What is read of a MySQL 8, which no test can start: its answers are those that its manual shows.

https://dev.mysql.com/doc/refman/8.4/en/roles.html grants app_read, app_write and app_developer;
https://dev.mysql.com/doc/refman/8.4/en/grant-tables.html lists the columns of the tables.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pymysql import OperationalError

from syncd.engines.mysql.accounts import read_accounts
from syncd.engines.mysql.connection import Dialect
from syncd.engines.mysql.logs import log_bytes
from syncd.engines.mysql.sight import Sight
from syncd.engines.mysql.sizes import Table, _sized, read_sizes
from syncd.engines.mysql.tablespaces import summed, tablespaces
from syncd.errors import BadData, Permission, SyncdError
from syncd.model.db_account import AccountReading, DbAccount
from syncd.model.db_size import DatabaseSize
from syncd.model.privilege import Privilege

Answers = Mapping[str, Sequence[tuple[Any, ...]] | SyncdError]
MYSQL_8 = Dialect("mysql", (8, 4))
NO_LIMITS = (0, 0, 0, 0, 0)


class Recorded:
    """A session of which the answer to a statement that holds a text is known."""

    def __init__(self, answers: Answers, dialect: Dialect = MYSQL_8) -> None:
        self.dialect = dialect
        self._answers = answers

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        for part, answer in self._answers.items():
            if part in query:
                if isinstance(answer, SyncdError):
                    raise answer
                return list(answer)
        assert query.startswith("SET SESSION ")
        return []


def user(
    name: str, host: str = "%", *, role: int = 0, locked: int = 0, tls: int = 0
) -> tuple[Any, ...]:
    """Return a row as the statement on mysql.user gives it."""
    return (name, host, role, locked, role, 1_700_000_000, None, "caching_sha2_password", None,
            tls, "", "", "", *NO_LIMITS, "")  # fmt: skip


ACCOUNTS: Answers = {
    "FROM mysql.user": [
        user("app_developer", role=1, locked=1),
        user("app_write", role=1, locked=1),
        user("dev1", "localhost", tls=2),
        user("mysql.sys", "localhost", locked=1),
    ],
    "FROM mysql.role_edges": [
        ("dev1", "localhost", "app_developer", "%"),
        ("app_developer", "%", "app_write", "%"),
    ],
    "FROM mysql.default_roles": [("dev1", "localhost", "app_developer", "%")],
    "SHOW GRANTS FOR `app_developer`@`%`": [
        ("GRANT USAGE ON *.* TO `app_developer`@`%`",),
        ("GRANT ALL PRIVILEGES ON `app_db`.* TO `app_developer`@`%`",),
        ("GRANT `app_write`@`%` TO `app_developer`@`%`",),
    ],
    "SHOW GRANTS FOR `app_write`@`%`": [
        ("GRANT USAGE ON *.* TO `app_write`@`%`",),
        ("GRANT INSERT, UPDATE, DELETE ON `app_db`.* TO `app_write`@`%`",),
    ],
    "SHOW GRANTS FOR `dev1`@`localhost`": [
        ("GRANT USAGE ON *.* TO `dev1`@`localhost`",),
        ("GRANT SYSTEM_USER ON *.* TO `dev1`@`localhost` WITH GRANT OPTION",),
        ("GRANT `app_developer`@`%` TO `dev1`@`localhost` WITH ADMIN OPTION",),
    ],
    "SHOW GRANTS FOR `mysql.sys`@`localhost`": [
        ("GRANT USAGE ON *.* TO `mysql.sys`@`localhost`",),
        ("GRANT SELECT ON `sys`.`sys_config` TO `mysql.sys`@`localhost`",),
    ],
}


def read(answers: Answers) -> tuple[AccountReading, Mapping[str, DbAccount]]:
    reading = read_accounts(Recorded(answers))  # type: ignore[arg-type]
    return reading, {each.account: each for each in reading.accounts}


def test_accounts_and_roles() -> None:
    reading, accounts = read(ACCOUNTS)
    assert (reading.engine, reading.unread) == ("mysql", ())
    assert {name: each.kind for name, each in accounts.items()} == {
        "app_developer@%": "role",
        "app_write@%": "role",
        "dev1@localhost": "user",
        "mysql.sys@localhost": "user",
    }
    dev = accounts["dev1@localhost"]
    assert dev.privileges == (
        Privilege("role", ("app_developer@%",), "MEMBER", grantable=True, options=("default",)),
        Privilege("server", (), "SYSTEM_USER", grantable=True),
    )
    assert dev.attributes == {
        "default_roles": ["app_developer@%"],
        "effective_roles": ["app_developer@%", "app_write@%"],
        "locked": False,
        "password_expired": False,
        "password_last_changed": "2023-11-14T22:13:20+00:00",
        "plugin": "caching_sha2_password",
        "tls": "x509",
    }
    assert (dev.active, dev.capabilities) == (True, ("grant",))
    assert accounts["mysql.sys@localhost"].capabilities == ("locked", "system")
    assert accounts["app_write@%"].capabilities == ()
    assert not accounts["app_write@%"].active


def test_roles_that_can_not_be_read_hide_what_depends_on_them() -> None:
    denied = Permission("SELECT command denied (1142)")
    tables = ("FROM mysql.role_edges", "FROM mysql.default_roles")
    reading, accounts = read({**ACCOUNTS, **dict.fromkeys(tables, denied)})
    dev = accounts["dev1@localhost"]
    assert not {"default_roles", "effective_roles"} & dev.attributes.keys()
    member, other = sorted(dev.privileges)
    for account in accounts:
        assert any(part.hides(account, member) for part in reading.unread)
        assert not any(part.hides(account, other) for part in reading.unread)
    assert {name for part in reading.unread for name in part.attributes} == {
        "default_roles",
        "effective_roles",
    }


def test_grants_that_are_not_understood_are_those_of_one_account() -> None:
    lines = [("GRANT SELECT ON EVERYTHING TO `dev1`@`localhost`",)]
    reading, accounts = read({**ACCOUNTS, "SHOW GRANTS FOR `dev1`@`localhost`": lines})
    [part] = reading.unread
    assert (part.part, part.account) == ("grants of dev1@localhost", "dev1@localhost")
    assert isinstance(part.error, BadData)
    assert accounts["dev1@localhost"].privileges == ()
    assert len(accounts["app_write@%"].privileges) == 3


class Changing(Recorded):
    """A server that has no grants of `gone`, and that lists it so often."""

    def __init__(self, listings: int, code: int = 1141) -> None:
        super().__init__(ACCOUNTS)
        self._listings, self._code = listings, code

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        if "`gone`@`%`" in query:
            raise BadData("no such grant") from OperationalError(self._code, "no such grant")
        rows = super().rows(query, *parameters)
        if "FROM mysql.user" in query and self._listings:
            self._listings -= 1
            rows.append(user("gone"))
        return rows


@pytest.mark.parametrize("code", [1141, 1959, 3162, 3523])
def test_an_account_that_is_dropped_meanwhile_is_left_out(code: int) -> None:
    """ER_NONEXISTING_GRANT, ER_INVALID_ROLE, ER_USER_DOES_NOT_EXIST, ER_UNKNOWN_AUTHID."""
    reading = read_accounts(Changing(1, code))  # type: ignore[arg-type]
    assert reading == read(ACCOUNTS)[0]


def test_an_account_that_is_only_in_the_table_is_ignored_by_the_server() -> None:
    reading = read_accounts(Changing(2))  # type: ignore[arg-type]
    [gone] = [each for each in reading.accounts if each.account == "gone@%"]
    assert (gone.active, gone.privileges, gone.attributes["ignored"]) == (False, (), True)
    assert reading.unread == ()


def test_a_server_without_accounts_is_no_answer() -> None:
    with pytest.raises(BadData, match="no account"):
        read({**ACCOUNTS, "FROM mysql.user": []})


def test_mysql_5_has_no_roles() -> None:
    answers = {
        "FROM mysql.user": [user("root", "localhost")],
        "SHOW GRANTS": [("GRANT ALL PRIVILEGES ON *.* TO 'root'@'localhost'",)],
    }
    session = Recorded(answers, Dialect("mysql", (5, 7)))
    [root] = read_accounts(session).accounts  # type: ignore[arg-type]
    assert root.privileges == (Privilege("server", (), "ALL PRIVILEGES"),)


# https://dev.mysql.com/doc/refman/8.4/en/information-schema-innodb-tablespaces-table.html
FILES: Answers = {
    "information_schema.INNODB_TABLESPACES": [
        ("shop", "orders", 114_688),
        ("shop", "parts#p#p0", 65_536),
        ("shop", "parts#P#p1#SP#s1", 65_536),
        ("shop", "fts_0000000000000435_config", 65_536),
        ("sys", "sys_config", 114_688),
    ],
}
SIZES: Answers = {
    **FILES,
    "SELECT current_role()": [("NONE",)],
    "SHOW GRANTS": [("GRANT SELECT, PROCESS ON *.* TO `syncd`@`%`",)],
    "information_schema.SCHEMATA": [("information_schema",), ("mysql",), ("shop",), ("sys",)],
    "FROM information_schema.TABLES": [
        ("mysql", "user", "BASE TABLE", "InnoDB", 5, 16_384, 0),
        ("shop", "orders", "BASE TABLE", "InnoDB", 100, 81_920, 16_384),
        ("shop", "parts", "BASE TABLE", "InnoDB", 10, 32_768, 65_536),
        ("shop", "log", "BASE TABLE", "MyISAM", 10, 4_000, 1_024),
        ("sys", "sys_config", "BASE TABLE", "InnoDB", 6, 16_384, 0),
    ],
    "SHOW BINARY LOGS": [("binlog.000001", 1_000, "No"), ("binlog.000002", 500, "No")],
    "Innodb_redo_log_physical_size": [("Innodb_redo_log_physical_size", "104857600")],
}


def test_files_of_partitions_are_those_of_their_table() -> None:
    files = tablespaces(Recorded(FILES))  # type: ignore[arg-type]
    assert files.databases == {"shop": 311_296, "sys": 114_688}
    assert files.tables["shop", "parts"] == 131_072
    missing = summed([("shop", "t", None), ("shop", "t", 5)])
    assert (missing.databases, missing.tables) == ({"shop": 5}, {("shop", "t"): 5})


def test_sizes() -> None:
    reading = read_sizes(Recorded(SIZES), (), 1)  # type: ignore[arg-type]
    assert reading.unread == ()
    sizes = {each.database: each for each in reading.databases}
    assert sizes["shop"] == DatabaseSize(
        "shop", 311_296 + 5_024, data_bytes=167_840, index_bytes=82_944, tables=3
    )
    assert sizes["mysql"].size_bytes == 16_384  # its tables are in a tablespace without its name
    assert [(t.database, t.table) for t in reading.tables] == [
        ("mysql", "user"), ("shop", "parts"), ("sys", "sys_config"),
    ]  # fmt: skip


def test_an_index_is_no_larger_than_the_file_that_it_is_in() -> None:
    table = Table("shop", "t", "BASE TABLE", "InnoDB", 3, 16_384, 999_999)
    found = _sized(table, summed([("shop", "t", 65_536)]))
    assert (found.total_bytes, found.heap_bytes, found.index_bytes) == (65_536, 0, 65_536)


def test_logs() -> None:
    assert log_bytes(Recorded(SIZES)) == 1_500 + 104_857_600  # type: ignore[arg-type]
    older = {
        **SIZES,
        "Innodb_redo_log_physical_size": [],
        "innodb_log_files_in_group": [
            ("innodb_log_file_size", "50331648"), ("innodb_log_files_in_group", "2"),
        ],
    }  # fmt: skip
    assert log_bytes(Recorded(older)) == 1_500 + 100_663_296  # type: ignore[arg-type]
    denied = {**SIZES, "SHOW BINARY LOGS": Permission("Access denied (1227)")}
    assert log_bytes(Recorded(denied)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lines", "seen"),
    [
        (["GRANT SELECT ON *.* TO `u`@`%`"], {"shop", "world"}),
        (["GRANT SELECT ON *.* TO `u`@`%`", "REVOKE SELECT ON `world`.* FROM `u`@`%`"], {"shop"}),
        (["GRANT SELECT ON `sho_`.* TO `u`@`%`"], {"shop"}),
        ([r"GRANT SELECT ON `sho\_`.* TO `u`@`%`"], set()),
        (["GRANT SELECT ON `shop`.`t` TO `u`@`%`"], set()),
        (["GRANT INSERT ON *.* TO `u`@`%`"], set()),
    ],
)
def test_what_a_login_may_see_all_of(lines: list[str], seen: set[str]) -> None:
    answers: Answers = {
        "SELECT current_role()": [("`r1`@`%`,`r2`@`%`",)],
        "USING `r1`@`%`,`r2`@`%`": [(line,) for line in lines],
    }
    sight = Sight.of(Recorded(answers))  # type: ignore[arg-type]
    assert {name for name in ("shop", "world") if sight.covers(name)} == seen
