"""What SHOW GRANTS prints, read word by word.

Statements of MySQL are those that its manual shows, at the pages that are named; no MySQL printed
them here. Those of MariaDB are also read from a server, in the integration tests.
"""

import pytest

from syncd.engines.mysql.grants import Statement, parse, privileges_of
from syncd.errors import BadData
from syncd.model.privilege import Privilege

HASH = "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7"


def server(*words: str, grantable: bool = False) -> set[Privilege]:
    return {Privilege("server", (), word, grantable) for word in words}


# https://dev.mysql.com/doc/refman/8.4/en/show-grants.html
@pytest.mark.parametrize(
    ("printed", "grantee", "privileges"),
    [
        ("GRANT USAGE ON *.* TO `jeffrey`@`localhost`", "jeffrey@localhost", set()),
        (
            "GRANT SELECT, INSERT, UPDATE ON `db1`.* TO `jeffrey`@`localhost`",
            "jeffrey@localhost",
            {Privilege("database", ("db1",), word) for word in ("SELECT", "INSERT", "UPDATE")},
        ),
        (
            "GRANT `r1`@`%`,`r2`@`%` TO `u1`@`localhost`",
            "u1@localhost",
            {Privilege("role", (role,), "MEMBER") for role in ("r1@%", "r2@%")},
        ),
        (
            "GRANT `r1`@`%` TO `u1`@`localhost` WITH ADMIN OPTION",
            "u1@localhost",
            {Privilege("role", ("r1@%",), "MEMBER", grantable=True)},
        ),
        (
            "GRANT PROXY ON ''@'' TO 'root'@'localhost' WITH GRANT OPTION",
            "root@localhost",
            {Privilege("proxy", ("@",), "PROXY", grantable=True)},
        ),
        # MySQL 5.7: https://dev.mysql.com/doc/refman/5.7/en/show-grants.html
        (
            "GRANT ALL PRIVILEGES ON *.* TO 'root'@'localhost' WITH GRANT OPTION",
            "root@localhost",
            server("ALL PRIVILEGES", grantable=True),
        ),
    ],
)
def test_statements_of_mysql(printed: str, grantee: str, privileges: set[Privilege]) -> None:
    read = parse(printed)
    assert (read.grantee, set(read.privileges)) == (grantee, privileges)


def test_static_and_dynamic_privileges_of_mysql_8() -> None:
    # https://dev.mysql.com/doc/refman/8.4/en/privileges-provided.html names them
    lines = [
        "GRANT SELECT, RELOAD, SHOW DATABASES, CREATE TEMPORARY TABLES, CREATE ROLE ON *.*"
        " TO `admin`@`%` WITH GRANT OPTION",
        "GRANT BACKUP_ADMIN,XA_RECOVER_ADMIN ON *.* TO `admin`@`%` WITH GRANT OPTION",
        "GRANT SYSTEM_VARIABLES_ADMIN ON *.* TO `admin`@`%`",
    ]
    given = ("SELECT", "RELOAD", "SHOW DATABASES", "CREATE TEMPORARY TABLES", "CREATE ROLE",
             "BACKUP_ADMIN", "XA_RECOVER_ADMIN")  # fmt: skip
    assert privileges_of("admin@%", lines, ()) == (
        server(*given, grantable=True) | server("SYSTEM_VARIABLES_ADMIN")
    )


def test_partial_revokes_of_mysql_8() -> None:
    # https://dev.mysql.com/doc/refman/8.4/en/partial-revokes.html
    lines = [
        "GRANT SELECT, INSERT ON *.* TO `u1`@`%`",
        "REVOKE INSERT ON `world`.* FROM `u1`@`%`",
    ]
    assert privileges_of("u1@%", lines, ()) == server("SELECT", "INSERT") | {
        Privilege("database", ("world",), "INSERT", restricts=True)
    }


@pytest.mark.parametrize(
    "clauses",
    [
        "",
        f" IDENTIFIED BY PASSWORD '{HASH}'",
        " IDENTIFIED BY PASSWORD <secret>",
        " IDENTIFIED VIA unix_socket",
        f" IDENTIFIED VIA ed25519 USING 'x' OR unix_socket OR mysql_native_password USING '{HASH}'",
        " IDENTIFIED WITH 'mysql_native_password' AS 'x'",
        " REQUIRE SSL",
        " REQUIRE X509",
        """ REQUIRE ISSUER '/C=IT''S' SUBJECT '/CN=a"b\\'c' CIPHER 'c'""",
        f" IDENTIFIED BY PASSWORD '{HASH}' REQUIRE NONE",
    ],
)
@pytest.mark.parametrize(
    ("ending", "grantable"),
    [
        ("", False),
        (" WITH GRANT OPTION", True),
        (" WITH MAX_QUERIES_PER_HOUR 5 MAX_STATEMENT_TIME 1.500000", False),
        (" WITH GRANT OPTION MAX_UPDATES_PER_HOUR 1 MAX_USER_CONNECTIONS 3", True),
    ],
)
def test_what_follows_a_grantee_is_let_go(clauses: str, ending: str, *, grantable: bool) -> None:
    read = parse(f"GRANT RELOAD ON *.* TO `a`@`b`{clauses}{ending}")
    assert read == Statement("a@b", (Privilege("server", (), "RELOAD", grantable),))


@pytest.mark.parametrize(
    ("on", "privileges"),
    [
        (
            "GRANT SELECT (`we``ird, col)`, `id`), INSERT ON `shop`.`orders` TO `a`@`b`",
            {
                Privilege("column", ("shop", "orders", "we`ird, col)"), "SELECT"),
                Privilege("column", ("shop", "orders", "id"), "SELECT"),
                Privilege("table", ("shop", "orders"), "INSERT"),
            },
        ),
        (
            "GRANT EXECUTE ON PACKAGE BODY `shop`.`pk` TO `a`@`b`",
            {Privilege("package", ("shop", "pk"), "EXECUTE", options=("body",))},
        ),
        (
            "GRANT EXECUTE, ALTER ROUTINE ON PROCEDURE `shop`.`p p` TO `a`@`b`",
            {
                Privilege("procedure", ("shop", "p p"), word)
                for word in ("EXECUTE", "ALTER ROUTINE")
            },
        ),
        (
            "GRANT SELECT ON TABLE `shop`.`*` TO `a`@`b`",
            {Privilege("table", ("shop", "*"), "SELECT")},
        ),
        (
            r"GRANT DELETE HISTORY ON `shop\_%`.* TO `a`@`b`",
            {Privilege("database", (r"shop\_%",), "DELETE HISTORY")},
        ),
    ],
)
def test_what_privileges_are_on(on: str, privileges: set[Privilege]) -> None:
    assert set(parse(on).privileges) == privileges


def test_to_grant_on_is_kept_even_where_nothing_else_is_given() -> None:
    read = parse("GRANT USAGE ON `shop`.* TO `a`@`b` WITH GRANT OPTION")
    assert read.privileges == (Privilege("database", ("shop",), "USAGE", grantable=True),)


def test_lines_of_the_roles_inside_a_role_are_those_of_other_accounts() -> None:
    lines = [
        "GRANT `inner` TO `outer`",
        "GRANT USAGE ON *.* TO `outer`",
        "GRANT ALL PRIVILEGES ON *.* TO `inner`",
    ]
    assert privileges_of("outer", lines, {"inner", "outer"}) == {
        Privilege("role", ("inner",), "MEMBER")
    }


@pytest.mark.parametrize("account", ["somebody", "outer@%"])
def test_a_line_of_an_account_that_is_no_role_is_not_understood(account: str) -> None:
    with pytest.raises(BadData, match="tells of"):
        privileges_of(account, ["GRANT RELOAD ON *.* TO `outer`"], {"inner"})


def test_a_role_whose_name_could_be_that_of_a_user_is_in_backticks() -> None:
    assert parse("GRANT RELOAD ON *.* TO `a@b`").grantee == "`a@b`"
    assert parse("GRANT RELOAD ON *.* TO `a`@`b`").grantee == "a@b"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "DENY SELECT ON *.* TO `a`@`b`",
        "GRANT SELECT ON *.*",
        "GRANT SELECT ON SEQUENCE `shop`.`s` TO `a`@`b`",
        "GRANT SELECT ON *.* TO `a`@`b` WITH HIERARCHY OPTION",
        "GRANT SELECT ON *.* TO `a`@`b` AS `c`@`d`",
        "GRANT SELECT ON `shop`.* TO `a`@`b`, `c`@`d`",
        "GRANT SELECT (`a`) ON `shop`.* TO `a`@`b`",
        "GRANT SELECT ON `shop`.`t TO `a`@`b`",
        "GRANT SELECT ON shop.* TO `a`@`b`; DROP",
        f"GRANT SELECT ON *.* TO `a`@`b` IDENTIFIED BY '{HASH}' '{HASH}'",
        f"GRANT SELECT ON *.* TO `a`@`b` IDENTIFIED BY PASSWORD {HASH}",
        f"GRANT SELECT ON *.* TO `a`@`b` NEW '{HASH}'",
    ],
)
def test_what_is_not_understood_is_an_error_that_tells_no_secret(line: str) -> None:
    with pytest.raises(BadData) as caught:
        parse(line)
    assert HASH[1:10] not in str(caught.value)
